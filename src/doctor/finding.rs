//! What was found, and how it is told.

use std::fmt;

use serde::Serialize;

use super::options::{DoctorConfig, Subject};

/// How a check ended.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, for some or for now.
    Warning,
    /// It keeps people from calling each other.
    Failure,
    /// Nothing is known.
    NotChecked,
}

/// One thing that was looked at.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, such as `ports`.
    pub check: &'static str,
    /// How it is.
    pub outcome: Outcome,
    /// What was seen, in words.
    pub seen: String,
    /// What to do about it. Every warning and failure has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// All that was found, in the order in which it was looked at.
#[derive(Serialize, Clone, Debug)]
pub struct Report {
    /// Of Crosspoint.
    pub version: &'static str,
    /// What was checked: `this machine`, or a URL.
    pub subject: String,
    /// Whether there is no failure.
    pub well: bool,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self::new(check, Outcome::Ok, seen, None)
    }

    pub(super) fn warning(
        check: &'static str,
        seen: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(check, Outcome::Warning, seen, Some(fix.into()))
    }

    pub(super) fn failure(
        check: &'static str,
        seen: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(check, Outcome::Failure, seen, Some(fix.into()))
    }

    /// Not looked at; `why` not.
    pub(super) fn not_checked(check: &'static str, why: impl Into<String>) -> Self {
        Self::new(check, Outcome::NotChecked, why, None)
    }

    fn new(
        check: &'static str,
        outcome: Outcome,
        seen: impl Into<String>,
        fix: Option<String>,
    ) -> Self {
        Self {
            check,
            outcome,
            seen: seen.into(),
            fix,
        }
    }
}

impl Report {
    pub(super) fn new(config: &DoctorConfig) -> Self {
        let subject = match &config.subject {
            Subject::Here(_) => "this machine".to_owned(),
            Subject::There(url) => url.origin(),
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            subject,
            well: true,
            findings: Vec::new(),
        }
    }

    /// A report of one finding: nothing could be checked.
    pub(super) fn of_failure(finding: Finding) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            subject: "this machine".to_owned(),
            well: false,
            findings: vec![finding],
        }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.well &= finding.outcome != Outcome::Failure;
        self.findings.push(finding);
    }

    pub(super) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.add(finding);
        }
    }

    fn count(&self, outcome: Outcome) -> usize {
        let of = |finding: &&Finding| finding.outcome == outcome;
        self.findings.iter().filter(of).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Crosspoint {} looks at {}", self.version, self.subject)?;
        for finding in &self.findings {
            let mark = match finding.outcome {
                Outcome::Ok => "ok",
                Outcome::Warning => "warning",
                Outcome::Failure => "FAILURE",
                Outcome::NotChecked => "-",
            };
            writeln!(f, "{mark:>8}  {:12} {}", finding.check, finding.seen)?;
            if let Some(fix) = &finding.fix {
                writeln!(f, "{:23}fix: {fix}", "")?;
            }
        }
        let many = |count: usize, word: &str| match count {
            0 => format!("no {word}s"),
            1 => format!("1 {word}"),
            count => format!("{count} {word}s"),
        };
        let failures = many(self.count(Outcome::Failure), "failure");
        let warnings = many(self.count(Outcome::Warning), "warning");
        writeln!(f, "{failures}, {warnings}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_each_failure_with_its_fix_and_counts_them() {
        let mut report =
            Report::of_failure(Finding::failure("ports", "TCP 80 is taken", "stop it"));
        report.add(Finding::ok("clock", "right"));
        report.add(Finding::not_checked("turn", "it is switched off"));
        assert!(!report.well);
        let text = report.to_string();
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                " FAILURE  ports        TCP 80 is taken",
                "                       fix: stop it",
                "      ok  clock        right",
                "       -  turn         it is switched off",
                "1 failure, no warnings",
            ]
        );
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["well"], false);
        assert_eq!(json["findings"][0]["outcome"], "failure");
        assert_eq!(json["findings"][0]["fix"], "stop it");
        assert_eq!(json["findings"][2]["outcome"], "not-checked");
        assert!(json["findings"][1].get("fix").is_none());
    }
}
