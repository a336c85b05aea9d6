//! Prometheus' text format, version 0.0.4.

use std::fmt::Write;

/// A sample: its labels, and its value.
pub(crate) type Sample = (Vec<(&'static str, String)>, f64);

/// What a family's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// The page as far as it is written.
#[derive(Debug, Default)]
pub(crate) struct Text(String);

impl Text {
    /// A family of samples. It is declared also where it has none yet, so that whoever looks for it knows that it is there.
    pub(crate) fn family(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        samples: impl IntoIterator<Item = Sample>,
    ) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let out = &mut self.0;
        // Writing to a string cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            out.push_str(name);
            for (index, (label, word)) in labels.iter().enumerate() {
                let before = if index == 0 { '{' } else { ',' };
                let _ = write!(out, "{before}{label}=\"{}\"", escaped(word));
            }
            let after = if labels.is_empty() { "" } else { "}" };
            let _ = writeln!(out, "{after} {value}");
        }
    }

    /// A family of one sample without labels.
    pub(crate) fn one(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help, [(Vec::new(), value)]);
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

fn escaped(word: &str) -> String {
    word.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_their_declaration() {
        let mut text = Text::default();
        let labels = vec![("shard", "0".to_owned()), ("reason", "a\"b\\".to_owned())];
        text.family("a_total", Kind::Counter, "Of a.", [(labels, 7.0)]);
        text.one("b", Kind::Gauge, "Of b.", 0.25);
        text.family("c", Kind::Gauge, "Of c.", []);
        let expected = "# HELP a_total Of a.\n# TYPE a_total counter\na_total{shard=\"0\",reason=\"a\\\"b\\\\\"} 7\n\
                        # HELP b Of b.\n# TYPE b gauge\nb 0.25\n# HELP c Of c.\n# TYPE c gauge\n";
        assert_eq!(text.finish(), expected);
    }
}
