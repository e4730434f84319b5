//! SVG plots: lines over a logarithmic axis of sizes, with a linear axis from zero.

use std::fmt::Write;

/// A quantity at several sizes.
pub struct Line {
    /// Its label.
    pub name: &'static str,
    /// Pairs of size and value.
    pub points: Vec<(f64, f64)>,
}

/// Quantities that share a scale.
pub struct Plot {
    /// Description with the unit.
    pub title: &'static str,
    /// At least one line.
    pub lines: Vec<Line>,
}

const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 200.0;
const MARGIN: f64 = 48.0;
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// Draws plots side by side over the same sizes.
pub fn svg(sizes: &str, plots: &[Plot]) -> String {
    let labels = plots.iter().map(|plot| plot.lines.len()).max().unwrap_or(0);
    let (width, height) = (plots.len() as f64 * (WIDTH + 2.0 * MARGIN), HEIGHT + 2.0 * MARGIN + 14.0 * labels as f64);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (at, plot) in plots.iter().enumerate() {
        let left = MARGIN + at as f64 * (WIDTH + 2.0 * MARGIN);
        let _ = writeln!(out, "<g transform=\"translate({left},{MARGIN})\">");
        draw(&mut out, sizes, plot);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, sizes: &str, plot: &Plot) {
    let all = || plot.lines.iter().flat_map(|line| &line.points);
    let least = all().map(|point| point.0).fold(f64::MAX, f64::min);
    let most = all().map(|point| point.0).fold(0.0, f64::max);
    let top = rounded_up(all().map(|point| point.1).fold(0.0, f64::max));
    let x = |size: f64| (size / least).ln() / (most / least).ln() * WIDTH;
    let y = |value: f64| HEIGHT - value / top * HEIGHT;
    let _ = writeln!(out, "<text y=\"-16\" font-weight=\"bold\">{}</text>", plot.title);
    for quarter in 0..=4 {
        // Round to thousandths: quarters of a tenth are not exact in binary.
        let value = (top * f64::from(quarter) * 250.0).round() / 1000.0;
        let _ = writeln!(
            out,
            "<line x2=\"{WIDTH}\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"#ddd\"/><text x=\"-6\" y=\"{1:.1}\" text-anchor=\"end\">{value}</text>",
            y(value),
            y(value) + 4.0
        );
    }
    for (size, _) in &plot.lines[0].points {
        let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{size}</text>", x(*size), HEIGHT + 16.0);
    }
    let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{sizes}</text>", WIDTH / 2.0, HEIGHT + 32.0);
    for (at, (line, colour)) in plot.lines.iter().zip(COLOURS).enumerate() {
        let path: Vec<String> = line.points.iter().map(|(size, value)| format!("{:.1},{:.1}", x(*size), y(*value))).collect();
        let _ = writeln!(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", path.join(" "));
        for (size, value) in &line.points {
            let _ = writeln!(out, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(*size), y(*value));
        }
        let below = HEIGHT + 50.0 + 14.0 * at as f64;
        let _ = writeln!(out, "<text y=\"{below}\" fill=\"{colour}\">{}</text>", line.name);
    }
}

/// Rounds up to 1, 2, 4 or 8 times a power of ten.
fn rounded_up(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-9).log10().floor());
    [1.0, 2.0, 4.0, 8.0].into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(10.0 * power)
}
