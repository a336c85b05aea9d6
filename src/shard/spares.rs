//! What is kept to be used again, as long as it is.

/// A stack of memory that is kept for the next use. What was put on it last is taken first, so that what nobody has needed
/// lately is at its bottom: as much as there was when it was shortest.
#[derive(Debug)]
pub(crate) struct Spares<T> {
    stack: Vec<T>,
    /// How short it has been since it was last asked for what is unused.
    shortest: usize,
}

impl<T> Default for Spares<T> {
    fn default() -> Self {
        Self {
            stack: Vec::new(),
            shortest: 0,
        }
    }
}

impl<T> Spares<T> {
    pub(crate) fn len(&self) -> usize {
        self.stack.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stack.is_empty()
    }

    pub(crate) fn push(&mut self, spare: T) {
        self.stack.push(spare);
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let spare = self.stack.pop();
        self.shortest = self.shortest.min(self.stack.len());
        spare
    }

    /// Removes those that were there all the time since this was called last.
    pub(crate) fn take_unused(&mut self) -> Vec<T> {
        let used = self.stack.split_off(self.shortest);
        self.shortest = used.len();
        std::mem::replace(&mut self.stack, used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_needed_since_the_last_time_is_unused() {
        let mut spares: Spares<u32> = Spares::default();
        (1..=4).for_each(|spare| spares.push(spare));
        assert!(spares.take_unused().is_empty(), "all are new");
        assert_eq!(spares.pop(), Some(4));
        assert_eq!(spares.pop(), Some(3));
        spares.push(3);
        spares.push(4);
        assert_eq!(spares.take_unused(), [1, 2]);
        assert_eq!(spares.len(), 2);
        assert_eq!(spares.take_unused(), [3, 4], "nobody came");
        assert!(spares.is_empty());
        assert_eq!(spares.pop(), None);
        assert!(spares.take_unused().is_empty());
    }
}
