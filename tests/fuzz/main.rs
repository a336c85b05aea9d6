//! What the fuzzer found worth keeping: each input once more through the function that was fuzzed.

mod targets;

/// Runs a target on its inputs: those that together reach most of the code, and those that found something.
macro_rules! target {
    ($name:ident) => {
        #[test]
        fn $name() {
            let kept = include_str!(concat!("inputs/", stringify!($name), ".hex"));
            let name = concat!(stringify!($name), " ");
            let found = FOUND.lines().filter_map(|line| line.strip_prefix(name));
            let found = found.filter_map(|line| line.split('#').next());
            let mut count = 0;
            for hex in kept.lines().chain(found) {
                // Shown where the test fails.
                println!("{hex}");
                targets::$name::run(&bytes(hex.trim()));
                count += 1;
            }
            assert!(count > 50, "{count} inputs");
        }
    };
}

/// Lines of a target's name, an input, and what it found.
const FOUND: &str = include_str!("found.hex");

target!(demultiplexer);
target!(stun);
target!(rtp);
target!(rtcp);
target!(extensions);
target!(descriptors);
target!(sdp);
target!(signalling);

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.is_ascii() && hex.len().is_multiple_of(2), "{hex}");
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(byte).collect()
}
