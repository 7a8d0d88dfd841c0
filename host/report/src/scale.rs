//! Numbers on an axis: round ticks, and where a value lies.

/// A linear axis.
#[derive(Clone, Debug)]
pub struct Scale {
    from: f64,
    to: f64,
    /// Pixel of `from` and of `to`.
    pixels: [f64; 2],
    step: f64,
}

impl Scale {
    /// From the smallest to the largest of `values`, with a margin of 6 % on both sides, drawn between
    /// two pixels. Without values, or where all are equal, a range around them.
    pub fn around(values: impl IntoIterator<Item = f64>, pixels: [f64; 2]) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for x in values.into_iter().filter(|x| x.is_finite()) {
            (low, high) = (low.min(x), high.max(x));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let margin = match high - low {
            0.0 => low.abs().max(1.0) * 0.1,
            range => 0.06 * range,
        };
        Self::new(low - margin, high + margin, pixels)
    }

    /// From `from` to `to`, which is larger.
    pub fn new(from: f64, to: f64, pixels: [f64; 2]) -> Self {
        let n = ((pixels[1] - pixels[0]).abs() / 62.0).max(2.0);
        let raw = (to - from) / n;
        let power = 10_f64.powf(raw.log10().floor());
        let round = [1.0, 2.0, 5.0, 10.0];
        let factor = round.into_iter().find(|f| f * power >= raw);
        let step = factor.unwrap_or(10.0) * power;
        Self {
            from,
            to,
            pixels,
            step,
        }
    }

    /// The same with ticks at whole numbers only.
    pub fn whole(mut self) -> Self {
        self.step = self.step.max(1.0);
        self
    }

    /// The pixel of a value.
    pub fn at(&self, x: f64) -> f64 {
        let [a, b] = self.pixels;
        a + (x - self.from) / (self.to - self.from) * (b - a)
    }

    /// Whether a value lies on the axis.
    pub fn holds(&self, x: f64) -> bool {
        (self.from..=self.to).contains(&x)
    }

    /// The ticks and their texts.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let (first, last) = (self.from / self.step, self.to / self.step);
        let decimals = (-self.step.log10().floor()).max(0.0) as usize;
        let ticks = (first.ceil() as i64)..=(last.floor() as i64);
        let value = |i: i64| i as f64 * self.step;
        ticks
            .map(|i| (value(i), format!("{:.decimals$}", value(i))))
            .collect()
    }
}
