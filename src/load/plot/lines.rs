//! Lines from reports: those of `--json`, just made or read from files.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{PlotLine, PlotPoint};

/// What the drawing needs of a report.
#[derive(Deserialize, Clone, Debug, PartialEq)]
struct Drawn {
    target: String,
    profile: String,
    runs: Vec<DrawnRun>,
}

#[derive(Deserialize, Clone, Debug, PartialEq)]
struct DrawnRun {
    subscribers: f64,
    server: Option<DrawnUse>,
    latency: Option<DrawnLatency>,
}

#[derive(Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
struct DrawnUse {
    seconds_per_million: Option<f64>,
}

#[derive(Deserialize, Clone, Debug, PartialEq)]
struct DrawnLatency {
    p99: f64,
}

/// One report, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Several(Vec<Drawn>),
    One(Drawn),
}

/// Why there is no drawing.
#[derive(Debug)]
pub enum PlotError {
    /// A file cannot be read or written.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else.
    NoReport {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl fmt::Display for PlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::NoReport { path, reason } => write!(
                f,
                "{} holds no report of `crosspoint load --json`, nor a list of them: {reason}",
                path.display()
            ),
        }
    }
}

impl std::error::Error for PlotError {}

/// Draws the reports of `crosspoint load --json` in some files, each of which holds one or a list of them,
/// into the file `svg`.
pub fn plot_files(files: &[PathBuf], svg: &Path) -> Result<(), PlotError> {
    let mut reports = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(path).map_err(|source| PlotError::File {
            path: path.clone(),
            source,
        })?;
        let file = serde_json::from_str(&text).map_err(|error| PlotError::NoReport {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        match file {
            File::One(report) => reports.push(report),
            File::Several(several) => reports.extend(several),
        }
    }
    draw(&reports, svg)
}

/// Draws one report into the file `svg`.
pub fn plot_report(report: &crate::load::Report, svg: &Path) -> Result<(), PlotError> {
    let drawn = serde_json::to_value(report).and_then(serde_json::from_value);
    let drawn: Drawn = drawn.map_err(|error| PlotError::NoReport {
        path: svg.to_owned(),
        reason: error.to_string(),
    })?;
    draw(&[drawn], svg)
}

fn draw(reports: &[Drawn], svg: &Path) -> Result<(), PlotError> {
    let text = super::plot(&title(reports), &lines(reports));
    std::fs::write(svg, text).map_err(|source| PlotError::File {
        path: svg.to_owned(),
        source,
    })
}

/// The profiles that were run.
fn title(reports: &[Drawn]) -> String {
    let mut profiles: Vec<&str> = reports.iter().map(|r| r.profile.as_str()).collect();
    profiles.sort_unstable();
    profiles.dedup();
    format!("Load: {}", profiles.join(", "))
}

/// One line for each target, in the order they come. Of several runs with as many subscribers the median
/// counts.
fn lines(reports: &[Drawn]) -> Vec<PlotLine> {
    let mut lines: Vec<PlotLine> = Vec::new();
    for report in reports {
        if lines.iter().any(|line| line.name == report.target) {
            continue;
        }
        let same = reports.iter().filter(|r| r.target == report.target);
        let runs: Vec<&DrawnRun> = same.flat_map(|r| &r.runs).collect();
        let mut sizes: Vec<f64> = runs.iter().map(|run| run.subscribers).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        let point = |subscribers: f64| {
            let of = |value: fn(&DrawnRun) -> Option<f64>| {
                let equal = runs.iter().filter(|run| run.subscribers == subscribers);
                median(equal.filter_map(|run| value(run)).collect())
            };
            PlotPoint {
                subscribers,
                // Seconds per million packets are microseconds per packet.
                cpu_us: of(|run| run.server.as_ref()?.seconds_per_million),
                p99_ms: of(|run| Some(run.latency.as_ref()?.p99)),
            }
        };
        lines.push(PlotLine {
            name: report.target.clone(),
            points: sizes.into_iter().map(point).collect(),
        });
    }
    lines
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 {
        upper
    } else {
        (values.get(middle.checked_sub(1)?)? + upper) / 2.0
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(target: &str, runs: &[(u32, Option<f64>, f64)]) -> serde_json::Value {
        let runs: Vec<_> = runs
            .iter()
            .map(|(subscribers, cpu, p99)| {
                json!({"subscribers": subscribers, "rooms": 1, "latency": {"p50": 0.1, "p99": p99},
                    "server": cpu.map(|cpu| json!({"userSeconds": 1.0, "secondsPerMillion": cpu}))})
            })
            .collect();
        json!({"target": target, "profile": "webinar", "version": "0", "runs": runs})
    }

    fn parsed(value: serde_json::Value) -> Drawn {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn runs_of_one_target_make_a_line_of_medians() {
        let reports = [
            parsed(report("a", &[(50, Some(3.0), 1.0), (150, Some(5.0), 2.0)])),
            parsed(report("b", &[(50, None, 9.0)])),
            parsed(report("a", &[(50, Some(4.0), 3.0)])),
            parsed(report("a", &[(50, Some(1.0), 8.0)])),
        ];
        let lines = lines(&reports);
        assert_eq!(lines.len(), 2);
        let points: Vec<_> = lines[0]
            .points
            .iter()
            .map(|p| (p.subscribers, p.cpu_us, p.p99_ms))
            .collect();
        assert_eq!(
            points,
            [(50.0, Some(3.0), Some(3.0)), (150.0, Some(5.0), Some(2.0))]
        );
        assert_eq!(lines[1].name, "b");
        assert_eq!(
            (lines[1].points[0].cpu_us, lines[1].points[0].p99_ms),
            (None, Some(9.0))
        );
    }

    #[test]
    fn a_median_of_two_lies_between_them() {
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn files_hold_one_report_or_a_list_and_anything_else_is_named() {
        let folder = std::env::temp_dir().join(format!("crosspoint-plot-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        let one = report("alone", &[(10, Some(1.0), 1.0)]);
        std::fs::write(path("one.json"), one.to_string()).unwrap();
        let list = json!([
            report("first", &[(10, Some(1.0), 1.0)]),
            report("second", &[])
        ]);
        std::fs::write(path("list.json"), list.to_string()).unwrap();
        std::fs::write(path("other.json"), "{\"a\": 1}").unwrap();
        let svg = path("out.svg");
        plot_files(&[path("one.json"), path("list.json")], &svg).unwrap();
        let drawn = std::fs::read_to_string(&svg).unwrap();
        for name in ["alone", "first", "second"] {
            assert!(drawn.contains(&format!(">{name}<")), "{name} is missing");
        }
        for wrong in ["other.json", "missing.json"] {
            let error = plot_files(&[path(wrong)], &svg).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
