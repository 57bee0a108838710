//! The ratios as a picture: a bar for each comparison, on a logarithmic axis with 1 in the middle, goals as marks.

use super::{
    outcome::Outcome,
    table::figure,
    workload::{Better, Kind},
};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 90.0;
const ROW: f64 = 26.0;
const TOP: f64 = 64.0;
/// The axis goes from 1 : 100 to 100 : 1; what lies beyond ends at the edge, with its figure beside it.
const DECADES: f64 = 2.0;

struct Bar {
    label: String,
    /// How many times better than the other icomm is.
    better: f64,
    limit: bool,
}

/// The picture as SVG: to the right of the middle icomm is the better one.
pub fn draw(outcomes: &[Outcome]) -> String {
    let bars = bars(outcomes);
    let height = TOP + ROW * bars.len() as f64 + 30.0;
    let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
    let scale = (WIDTH - RIGHT - LEFT) / 2.0 / DECADES;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"24\" font-size=\"16\" font-weight=\"bold\">icomm beside its peers and the machine's limits</text>\n\
         <text x=\"16\" y=\"44\" fill=\"#555\">times better (right) or worse (left) than the other; grey: a bare limit, not a product</text>\n"
    );
    for tenth in -2i32..=2 {
        let x = middle + f64::from(tenth) * scale;
        let bottom = height - 26.0;
        let text = match tenth {
            0 => "1".to_owned(),
            tenth if tenth > 0 => format!("{}×", 10u32.pow(tenth.unsigned_abs())),
            tenth => format!("1/{}", 10u32.pow(tenth.unsigned_abs())),
        };
        svg += &format!(
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#ccc\"/>\n\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">{text}</text>\n",
            bottom + 18.0
        );
    }
    for (row, bar) in bars.iter().enumerate() {
        let y = TOP + ROW * row as f64 + 4.0;
        let length = bar.better.log10().clamp(-DECADES, DECADES) * scale;
        let (x, width) = (middle + length.min(0.0), length.abs());
        let fill = match (bar.limit, bar.better >= 1.0) {
            (true, _) => "#a0a0a0",
            (false, true) => "#2f6f4f",
            (false, false) => "#b3502f",
        };
        let end = middle + length;
        let (at, anchor) = if length < 0.0 {
            (end - 6.0, "end")
        } else {
            (end + 6.0, "start")
        };
        let baseline = y + ROW / 2.0 + 2.0;
        svg += &format!(
            "<text x=\"{}\" y=\"{baseline}\" text-anchor=\"end\">{}</text>\n\
             <rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{fill}\"/>\n\
             <text x=\"{at:.1}\" y=\"{baseline}\" text-anchor=\"{anchor}\">{}×</text>\n",
            LEFT - 12.0,
            bar.label,
            ROW - 8.0,
            figure(bar.better),
        );
    }
    svg + "</svg>\n"
}

fn bars(outcomes: &[Outcome]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for outcome in outcomes {
        let Some(ours) = outcome.icomm() else { continue };
        for other in outcome.others() {
            let ratio = ours.value.median / other.series.value.median;
            bars.push(Bar {
                label: format!("{} ÷ {}", outcome.workload.name, other.name),
                better: match outcome.workload.better {
                    Better::Higher => ratio,
                    Better::Lower => 1.0 / ratio,
                },
                limit: other.kind == Kind::Limit,
            });
        }
    }
    bars
}
