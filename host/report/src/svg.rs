//! A figure in SVG: marks by class, so that one style sheet colours all of them, light and dark.

use std::fmt::Write as _;

/// Where a text is anchored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Its left end.
    Start,
    /// Its middle.
    Middle,
    /// Its right end.
    End,
}

/// `text` for an element's content or an attribute in double quotes. Characters that XML forbids become
/// `\u{FFFD}`.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' | '\r' => safe.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// About how wide `text` is at `size` pixels, in pixels: letters of a sans-serif font are some 0.56 em.
pub fn text_width(text: &str, size: f64) -> f64 {
    0.56 * size * text.chars().count() as f64
}

/// A figure; coordinates in pixels from the top left.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Name of its file without the ending: letters, digits, `-`.
    pub name: String,
    /// What it shows, for those who cannot see it.
    pub title: String,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
    body: String,
}

impl Figure {
    /// An empty figure.
    pub fn new(name: &str, title: &str, width: f64, height: f64) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            width,
            height,
            body: String::new(),
        }
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        self.push(format_args!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    /// A line through `points`; nothing for fewer than two.
    pub fn polyline(&mut self, class: &str, points: &[[f64; 2]]) {
        if points.len() < 2 {
            return;
        }
        let points: Vec<_> = points
            .iter()
            .map(|[x, y]| format!("{x:.1},{y:.1}"))
            .collect();
        let points = points.join(" ");
        self.push(format_args!(
            r#"<polyline class="{class}" points="{points}"/>"#
        ));
    }

    /// A path; `d` is SVG path data.
    pub fn path(&mut self, class: &str, d: &str) {
        self.push(format_args!(r#"<path class="{class}" d="{d}"/>"#));
    }

    /// A disc with a tooltip.
    pub fn disc(&mut self, class: &str, [x, y]: [f64; 2], r: f64, tip: &str) {
        let tip = escape(tip);
        self.push(format_args!(
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{r}"><title>{tip}</title></circle>"#
        ));
    }

    /// A rectangle with rounded corners and a tooltip.
    pub fn rect(&mut self, class: &str, [x, y, w, h]: [f64; 4], r: f64, tip: &str) {
        let tip = escape(tip);
        self.push(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" \
             rx=\"{r}\"><title>{tip}</title></rect>"
        ));
    }

    /// A text on one line.
    pub fn text(&mut self, class: &str, [x, y]: [f64; 2], anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        self.push(format_args!(
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    /// A text that reads upwards, centred on a point.
    pub fn upward_text(&mut self, class: &str, [x, y]: [f64; 2], text: &str) {
        let text = escape(text);
        self.push(format_args!(
            "<text class=\"{class}\" transform=\"translate({x:.1} {y:.1}) rotate(-90)\" \
             text-anchor=\"middle\">{text}</text>"
        ));
    }

    /// The element, for a page that has [`crate::palette::style`].
    pub fn inline(&self) -> String {
        self.element("", "")
    }

    /// A file of its own, with its style.
    pub fn file(&self) -> String {
        let style = format!("<style>{}</style>\n", crate::palette::style());
        let space = " xmlns=\"http://www.w3.org/2000/svg\"";
        self.element(space, &style) + "\n"
    }

    fn element(&self, space: &str, style: &str) -> String {
        let (w, h, title) = (self.width, self.height, escape(&self.title));
        format!(
            "<svg{space} class=\"figure\" viewBox=\"0 0 {w:.0} {h:.0}\" width=\"{w:.0}\" \
             height=\"{h:.0}\" role=\"img\" aria-label=\"{title}\">\n{style}\
             <rect class=\"paper\" width=\"{w:.0}\" height=\"{h:.0}\"/>\n{}</svg>",
            self.body
        )
    }
}
