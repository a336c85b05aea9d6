//! A span of something that ends one way or another.

use tracing::Span;

/// A span with an `outcome`, which is `given up` if nothing else was said.
#[derive(Debug, Default)]
pub(super) struct Traced(Option<Span>);

impl Traced {
    pub(super) fn new(span: Span) -> Self {
        Self(Some(span))
    }

    /// One of its fields is another now.
    pub(super) fn record(&self, field: &str, value: usize) {
        if let Some(span) = &self.0 {
            span.record(field, value);
        }
    }

    /// It ended so. Said twice, the first counts.
    pub(super) fn end(&mut self, outcome: &str) {
        if let Some(span) = self.0.take() {
            span.record("outcome", outcome);
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.end("given up");
    }
}
