//! A value that a test waits upon.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

/// How long anything may take before a test gives up. Generous: the machine may be busy with the other tests.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A value that several tasks change and a test waits upon.
#[derive(Default)]
pub struct Watched<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T> Watched<T> {
    pub fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        // A panic in one test's closure must not hide behind a poisoned lock in another's.
        self.value
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Reads it.
    pub fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.lock())
    }

    /// Changes it, and wakes everyone who waits.
    pub fn update<R>(&self, update: impl FnOnce(&mut T) -> R) -> R {
        let result = update(&mut self.lock());
        self.changed.notify_waiters();
        result
    }

    /// Waits until `check` finds what it wants, and gives that; panics with `what` when it takes longer than
    /// [`PATIENCE`].
    #[track_caller]
    pub fn until<R>(
        &self,
        what: impl std::fmt::Display,
        check: impl FnMut(&mut T) -> Option<R>,
    ) -> impl Future<Output = R> {
        let caller = std::panic::Location::caller();
        async move {
            match self.within(PATIENCE, check).await {
                Some(result) => result,
                None => panic!("{caller}: waited {PATIENCE:?} in vain for {what}"),
            }
        }
    }

    /// Waits at most `patience` until `check` finds what it wants.
    pub async fn within<R>(
        &self,
        patience: Duration,
        mut check: impl FnMut(&mut T) -> Option<R>,
    ) -> Option<R> {
        tokio::time::timeout(patience, async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(result) = check(&mut self.lock()) {
                    return result;
                }
                changed.await;
            }
        })
        .await
        .ok()
    }
}

/// Runs `future`, at most [`PATIENCE`] long.
#[track_caller]
pub fn patiently<F: Future>(
    what: impl std::fmt::Display,
    future: F,
) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(result) => result,
            Err(_) => panic!("{caller}: waited {PATIENCE:?} in vain for {what}"),
        }
    }
}
