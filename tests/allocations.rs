//! What the core allocates: nothing for a packet that it forwards, and little for a peer that is idle.

#![allow(
    unsafe_code,
    reason = "a global allocator can be counted in no other way"
)]

#[path = "../benches/support/mod.rs"]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use support::Memory;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

fn count(allocations: usize, bytes: isize) {
    // Not while the thread ends.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + allocations));
    let _ = BYTES.try_with(|count| count.set(count.get() + bytes));
}

// SAFETY: the system's allocator does all the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> usize {
    ALLOCATIONS.with(Cell::get)
}

#[test]
fn nothing_is_allocated_for_a_packet_that_is_forwarded() {
    let mut memory = Memory::new();
    memory.join(false);
    for _ in 0..5 {
        memory.join(true);
    }
    memory.publish();
    // Until histories and buffers have their size.
    let mut warm_up = memory.packets(4_000);
    memory.run(&mut warm_up);
    memory.check_all();
    let mut packets = memory.packets(3_000);
    let (mut for_packets, mut for_timers, mut copies) = (0, 0, 0);
    for packet in &mut packets {
        memory.now += std::time::Duration::from_millis(1);
        let before = allocations();
        memory.deliver(0, packet);
        let between = allocations();
        for_packets += between - before;
        copies += memory.take_copies();
        memory.tick_shard();
        for_timers += allocations() - between;
        memory.batch.clear();
    }
    assert_eq!(copies, 15_000, "every copy left");
    assert_eq!(for_packets, 0);
    // Reports each second, and twice as often each viewer's layers.
    assert!(for_timers < 350, "{for_timers}");
}

#[test]
fn nothing_is_allocated_for_a_packet_that_crosses_to_another_shard() {
    let mut memory = Memory::with_shards(3);
    memory.join(false);
    for shard in [1, 1, 2, 0] {
        memory.join_on(shard, true);
    }
    memory.publish();
    // Until histories, buffers and batches have their size.
    let mut warm_up = memory.packets(4_000);
    memory.run(&mut warm_up);
    memory.check_all();
    let mut packets = memory.packets(3_000);
    let (mut for_packets, mut copies) = (0, 0);
    for packet in &mut packets {
        memory.now += std::time::Duration::from_millis(1);
        let before = allocations();
        memory.deliver(0, packet);
        memory.cross();
        for_packets += allocations() - before;
        copies += memory.take_copies();
        memory.tick_shard();
        memory.batch.clear();
    }
    assert_eq!(copies, 12_000, "every copy left");
    assert_eq!(for_packets, 0);
}

#[test]
fn an_idle_peer_that_is_connected_is_small() {
    const PEERS: isize = 20;
    let mut memory = Memory::new();
    memory.data = true;
    memory.join(false);
    let of_client = {
        // What the other side of the wire takes, which is in this memory too, is nearly as much.
        let before = BYTES.with(Cell::get);
        for _ in 0..PEERS {
            memory.join(false);
        }
        BYTES.with(Cell::get) - before
    };
    let both = of_client / PEERS;
    println!("{both} bytes for a peer and its client");
    assert!(both < 256 * 1024, "{both} bytes");
}
