//! The drawing itself: two panels side by side, a legend below.

use std::fmt::Write as _;

use super::axis::Axis;
use super::{PlotLine, PlotPoint};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 400.0;
/// Of one panel: where its first pixel is, and how large the area between its axes is.
const PANELS: [f64; 2] = [64.0, 492.0];
const PANEL_WIDTH: f64 = 340.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 296.0;
const LEGEND: f64 = 372.0;
/// The width of one letter of the legend, about.
const LETTER: f64 = 7.2;

/// Colours and dashes of the lines in turn: they differ in lightness too, for who sees no colours.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2933}
.title{font-size:15px;font-weight:600}
.panel{font-size:13px;font-weight:600}
.grid{stroke:#d5dae0;stroke-width:1}
.axis{stroke:#7b8794;stroke-width:1}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.c0{stroke:#0b62c4;fill:#0b62c4}
.c1{stroke:#b3470b;fill:#b3470b}
.c2{stroke:#5f6b7a;fill:#5f6b7a}
.c3{stroke:#117a55;fill:#117a55}
.c4{stroke:#8a2fb0;fill:#8a2fb0}
.c5{stroke:#8a6d00;fill:#8a6d00}
.d2{stroke-dasharray:6 4}
.d5{stroke-dasharray:2 3}
.ground{fill:#fff}
@media(prefers-color-scheme:dark){
text{fill:#e4e7eb}
.grid{stroke:#353f4a}
.axis{stroke:#8592a0}
.c0{stroke:#6fb1ff;fill:#6fb1ff}
.c1{stroke:#ff9a5c;fill:#ff9a5c}
.c2{stroke:#a9b4c0;fill:#a9b4c0}
.c3{stroke:#4fd1a1;fill:#4fd1a1}
.c4{stroke:#d79bf2;fill:#d79bf2}
.c5{stroke:#e6c84a;fill:#e6c84a}
.ground{fill:#15191e}
}";
const STYLES: usize = 6;

/// What one panel shows.
struct Panel<'a> {
    left: f64,
    title: &'a str,
    unit: &'a str,
    value: fn(&PlotPoint) -> Option<f64>,
}

/// The picture of `lines` as a whole SVG document, headed by `title`. Points without a value are left
/// out, and so are lines without points in a panel.
pub fn plot(title: &str, lines: &[PlotLine]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n\
         <style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n\
         <text class=\"title\" x=\"20\" y=\"26\">{title}</text>\n",
        title = escaped(title),
    );
    let panels = [
        Panel {
            left: PANELS[0],
            title: "CPU per forwarded packet",
            unit: "µs",
            value: |point| point.cpu_us,
        },
        Panel {
            left: PANELS[1],
            title: "Latency, 99th percentile",
            unit: "ms",
            value: |point| point.p99_ms,
        },
    ];
    for panel in &panels {
        panel.draw(&mut svg, lines);
    }
    legend(&mut svg, lines);
    svg.push_str("</svg>\n");
    svg
}

impl Panel<'_> {
    fn draw(&self, svg: &mut String, lines: &[PlotLine]) {
        let points = lines.iter().flat_map(|line| &line.points);
        let (left, right) = (self.left, self.left + PANEL_WIDTH);
        let x = Axis::linear(points.clone().map(|point| point.subscribers), (left, right));
        let y = Axis::fitting(points.filter_map(self.value), (BOTTOM, TOP));
        let scale = if y.logarithmic() { ", log scale" } else { "" };
        text(
            svg,
            "panel",
            (left, TOP - 14.0),
            "start",
            &format!("{}, {}{scale}", self.title, self.unit),
        );
        for &tick in y.ticks() {
            let at = y.pixel(tick);
            let class = if at == BOTTOM { "axis" } else { "grid" };
            segment(svg, class, (left, at), (right, at));
            text(svg, "", (left - 8.0, at + 4.0), "end", &number(tick));
        }
        segment(svg, "axis", (left, TOP), (left, BOTTOM));
        for &tick in x.ticks() {
            let at = x.pixel(tick);
            segment(svg, "axis", (at, BOTTOM), (at, BOTTOM + 5.0));
            text(svg, "", (at, BOTTOM + 20.0), "middle", &number(tick));
        }
        let middle = (left + right) / 2.0;
        text(svg, "", (middle, BOTTOM + 42.0), "middle", "subscribers");
        for (index, line) in lines.iter().enumerate() {
            let mut places: Vec<(f64, f64)> = line
                .points
                .iter()
                .filter_map(|point| Some((point.subscribers, (self.value)(point)?)))
                .collect();
            places.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (subscribers, value) in &mut places {
                (*subscribers, *value) = (x.pixel(*subscribers), y.pixel(*value));
            }
            curve(svg, index, &places);
        }
    }
}

fn curve(svg: &mut String, index: usize, places: &[(f64, f64)]) {
    if places.is_empty() {
        return;
    }
    let style = index % STYLES;
    let list: Vec<String> = places
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    // A string takes all that is written to it.
    let _ = writeln!(
        svg,
        "<polyline class=\"line c{style} d{style}\" style=\"fill:none\" points=\"{}\"/>",
        list.join(" ")
    );
    for &place in places {
        mark(svg, index, place);
    }
}

/// A shape of its own for each line.
fn mark(svg: &mut String, index: usize, (x, y): (f64, f64)) {
    let style = index % STYLES;
    let shape = match style % 3 {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\""),
        1 => format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"8\" height=\"8\"",
            x - 4.0,
            y - 4.0
        ),
        _ => format!("<path d=\"M{x:.1} {:.1}l5 9h-10z\"", y - 5.0),
    };
    let _ = writeln!(svg, "{shape} class=\"c{style}\"/>");
}

fn legend(svg: &mut String, lines: &[PlotLine]) {
    let mut x = PANELS[0];
    for (index, line) in lines.iter().enumerate() {
        let style = index % STYLES;
        let _ = writeln!(
            svg,
            "<line class=\"line c{style} d{style}\" x1=\"{x:.1}\" y1=\"{LEGEND}\" x2=\"{:.1}\" y2=\"{LEGEND}\"/>",
            x + 28.0
        );
        mark(svg, index, (x + 14.0, LEGEND));
        text(svg, "", (x + 36.0, LEGEND + 4.0), "start", &line.name);
        x += 36.0 + LETTER * line.name.chars().count() as f64 + 24.0;
    }
}

fn segment(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, class: &str, (x, y): (f64, f64), anchor: &str, words: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escaped(words)
    );
}

/// As short as it can be said: `0.1`, `2.5`, `1000`.
fn number(value: f64) -> String {
    let rounded = format!("{value:.3}");
    rounded
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

fn escaped(words: &str) -> String {
    words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, points: &[(f64, f64, f64)]) -> PlotLine {
        let points = points
            .iter()
            .map(|&(subscribers, cpu_us, p99_ms)| PlotPoint {
                subscribers,
                cpu_us: Some(cpu_us),
                p99_ms: Some(p99_ms),
            })
            .collect();
        PlotLine {
            name: name.to_owned(),
            points,
        }
    }

    #[test]
    fn every_line_has_its_points_in_both_panels_and_its_name_below() {
        let lines = [
            line("crosspoint", &[(50.0, 2.0, 1.0), (150.0, 3.0, 2.0)]),
            line("janus", &[(150.0, 11.0, 4.0), (50.0, 12.0, 3.0)]),
        ];
        let svg = plot("Webinar, 1.5 Mbit/s", &lines);
        assert_eq!(svg.matches("<polyline").count(), 4);
        // Two points in two panels and one in the legend.
        assert_eq!(svg.matches("<circle").count(), 5);
        for words in [
            "subscribers",
            "µs",
            "ms",
            ">crosspoint<",
            ">janus<",
            "prefers-color-scheme:dark",
        ] {
            assert!(svg.contains(words), "{words} is missing");
        }
        // From left to right, whatever order they came in.
        let janus = svg.match_indices("c1 d1\" style").next().expect("a line").0;
        let points = svg[janus..].split("points=\"").nth(1).expect("points");
        let xs: Vec<f64> = points
            .split('"')
            .next()
            .expect("a list")
            .split(' ')
            .map(|place| {
                place
                    .split(',')
                    .next()
                    .expect("x")
                    .parse()
                    .expect("a number")
            })
            .collect();
        assert!(xs[0] < xs[1]);
    }

    #[test]
    fn what_was_not_measured_is_not_drawn() {
        let mut lines = [line("server elsewhere", &[(50.0, 0.0, 1.0)])];
        lines[0].points[0].cpu_us = None;
        let svg = plot("t", &lines);
        assert_eq!(svg.matches("<polyline").count(), 1);
        assert!(!svg.contains("NaN"));
        assert!(!plot("t", &[]).contains("NaN"));
    }

    #[test]
    fn names_cannot_break_the_document() {
        let svg = plot("a < b & \"c\"", &[line("<script>", &[(1.0, 1.0, 1.0)])]);
        assert!(!svg.contains("<script>"));
        assert!(svg.contains("a &lt; b &amp; &quot;c&quot;"));
    }
}
