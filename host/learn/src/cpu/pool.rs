//! Pooling of one NHWC image; the step equals the window, an odd border is dropped.

/// Sizes of one image and the window.
#[derive(Clone, Copy)]
pub(super) struct Dims {
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) c: usize,
    pub(super) window: [usize; 2],
}

impl Dims {
    /// For every output pixel and tap: the index of the output pixel, of the input pixel, and
    /// whether it is the window's first tap.
    fn taps(self) -> impl Iterator<Item = (usize, usize, bool)> {
        let [kh, kw] = self.window;
        let (ho, wo) = (self.h / kh, self.w / kw);
        (0..ho * wo * kh * kw).map(move |at| {
            let (out, tap) = (at / (kh * kw), at % (kh * kw));
            let (y, x) = (out / wo * kh + tap / kw, out % wo * kw + tap % kw);
            (out * self.c, (y * self.w + x) * self.c, tap == 0)
        })
    }

    fn share(self) -> f32 {
        1.0 / (self.window[0] * self.window[1]) as f32
    }
}

/// `y = max over the window`.
pub(super) fn max_forward(d: Dims, x: &[f32], y: &mut [f32]) {
    for (out, at, first) in d.taps() {
        let (y, x) = (&mut y[out..out + d.c], &x[at..at + d.c]);
        if first {
            y.copy_from_slice(x);
        } else {
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = y.max(x));
        }
    }
}

/// `y = mean over the window`.
pub(super) fn mean_forward(d: Dims, x: &[f32], y: &mut [f32]) {
    y.fill(0.0);
    for (out, at, _) in d.taps() {
        y[out..out + d.c]
            .iter_mut()
            .zip(&x[at..at + d.c])
            .for_each(|(y, x)| *y += x);
    }
    y.iter_mut().for_each(|y| *y *= d.share());
}

/// The gradient goes to the first maximum of each window; `dx` must be zero on entry.
pub(super) fn max_backward(d: Dims, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let taps: Vec<(usize, usize, bool)> = d.taps().collect();
    for window in taps.chunks(d.window[0] * d.window[1]) {
        for c in 0..d.c {
            let mut best = window[0].1 + c;
            for &(_, at, _) in &window[1..] {
                if x[at + c] > x[best] {
                    best = at + c;
                }
            }
            dx[best] = dy[window[0].0 + c];
        }
    }
}

/// The gradient is shared equally; `dx` must be zero on entry.
pub(super) fn mean_backward(d: Dims, dy: &[f32], dx: &mut [f32]) {
    let share = d.share();
    for (out, at, _) in d.taps() {
        dx[at..at + d.c]
            .iter_mut()
            .zip(&dy[out..out + d.c])
            .for_each(|(dx, dy)| *dx = dy * share);
    }
}
