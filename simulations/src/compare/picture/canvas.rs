//! SVG, written from top to bottom.

use std::fmt::Write as _;

/// How wide the picture is, in pixels; how high is seen at its end.
pub(super) const WIDTH: f64 = 960.0;

/// A picture under way: a line at a time, each below the one before.
#[derive(Default)]
pub(super) struct Canvas {
    svg: String,
    y: f64,
}

/// Which end of a text stands at its place.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy)]
pub(super) enum Ink {
    Title,
    Strong,
    Plain,
    Faint,
    Small,
}

impl Ink {
    fn class(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Strong => "strong",
            Self::Plain => "plain",
            Self::Faint => "faint",
            Self::Small => "small",
        }
    }

    /// In pixels.
    fn size(self) -> f64 {
        match self {
            Self::Title => 20.0,
            Self::Strong => 14.0,
            Self::Plain | Self::Faint => 13.0,
            Self::Small => 12.0,
        }
    }
}

/// About how wide a text is, rather more than less: nobody knows which font it will be shown in.
pub(super) fn width(text: &str, ink: Ink) -> f64 {
    /// Of a digit in the widest of the fonts asked for, as a share of the size; letters are narrower on average.
    const DIGIT: f64 = 0.56;
    text.chars().count() as f64 * ink.size() * DIGIT
}

/// A text in lines of at most that width.
pub(super) fn wrap(text: &str, ink: Ink, at_most: f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            word.clone_into(line);
        } else if width(line, ink) + width(word, ink) + width(" ", ink) <= at_most {
            *line += " ";
            *line += word;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

impl Canvas {
    /// Where the next thing stands: a text's baseline.
    pub(super) fn at(&self) -> f64 {
        self.y
    }

    /// Goes on further below.
    pub(super) fn down(&mut self, pixels: f64) {
        self.y += pixels;
    }

    /// A text on the line.
    pub(super) fn text(&mut self, x: f64, anchor: Anchor, ink: Ink, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (class, y, text) = (ink.class(), self.y, escaped(text));
        self.write(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    /// A bar around the middle of the line's letters.
    pub(super) fn bar(&mut self, left: f64, right: f64, thick: f64, class: &str) {
        // A bar of no length would not be seen at all.
        let (width, y) = ((right - left).max(1.0), self.middle() - thick / 2.0);
        self.write(format_args!(
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{thick}\"/>"
        ));
    }

    /// A short line across a bar.
    pub(super) fn mark(&mut self, x: f64, high: f64) {
        let (top, bottom) = (self.middle() - high / 2.0 + 2.0, self.middle() + high / 2.0 - 2.0);
        self.write(format_args!(
            "<line class=\"goal\" x1=\"{x:.1}\" y1=\"{top:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>"
        ));
    }

    /// A line from top to bottom, behind everything.
    pub(super) fn rule(&mut self, x: f64, top: f64, bottom: f64, strong: bool) {
        let class = if strong { "one" } else { "tick" };
        let line =
            format!("<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{top:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>\n");
        self.svg.insert_str(0, &line);
    }

    /// A tick, a cross, or a dash where it can't be told. Drawn, since not every font has them.
    pub(super) fn verdict(&mut self, x: f64, met: Option<bool>) {
        let y = self.middle();
        let (class, path) = match met {
            Some(true) => ("met", format!("M{:.1} {:.1}l3.5 4l6.5 -9", x, y + 0.5)),
            Some(false) => ("unmet", format!("M{:.1} {:.1}l8 8m0 -8l-8 8", x, y - 4.0)),
            None => ("untold", format!("M{x:.1} {y:.1}h8")),
        };
        self.write(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
    }

    /// The whole picture.
    pub(super) fn finish(self) -> String {
        let (high, body) = (self.y + 16.0, self.svg);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {high:.0}\" width=\"{WIDTH}\" height=\"{high:.0}\" \
             font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\">\n\
             <style>\n{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{WIDTH}\" height=\"{high:.0}\" rx=\"6\"/>\n{body}</svg>\n"
        )
    }

    /// The middle of small letters above the baseline.
    fn middle(&self) -> f64 {
        self.y - 4.5
    }

    fn write(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing into a string can't fail.
        let _ = writeln!(self.svg, "{element}");
    }
}

/// On white paper of its own, so that it can be read on a dark page too.
const STYLE: &str = "\
.paper { fill: #fff }
text { fill: #1f2328; stroke: #fff; stroke-width: 4px; paint-order: stroke }
.title { font-size: 20px; font-weight: bold }
.strong { font-size: 14px; font-weight: bold }
.plain { font-size: 13px }
.faint { font-size: 13px; fill: #59636e }
.small { font-size: 12px; fill: #59636e }
.better { fill: #2da44e }
.worse { fill: #cf5b3a }
.limit { fill: #b1bac4 }
.goal { stroke: #1f2328; stroke-width: 3 }
.one { stroke: #59636e }
.tick { stroke: #e3e7eb }
.met { stroke: #1a7f37; stroke-width: 2.2; fill: none }
.unmet { stroke: #cf222e; stroke-width: 2.2; fill: none }
.untold { stroke: #9aa3ad; stroke-width: 2.2; fill: none }
";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
