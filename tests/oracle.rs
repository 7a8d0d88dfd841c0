//! Slow integer references of every kernel, written from the formulas alone.
//!
//! They own nothing but arithmetic in `i64`/`i128` and share no code with the crate under test.
//! Source of the rounding: B. Jacob et al. 2018, section 2.2, as TensorFlow Lite's reference kernels
//! implement it (half up in the high product, half away from zero in the division).

/// An NHWC image with N = 1.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) c: usize,
    pub(crate) zero_point: i64,
    pub(crate) data: Vec<i8>,
}

impl Image {
    pub(crate) fn at(&self, y: i64, x: i64, c: usize) -> Option<i64> {
        let inside = (0..self.h as i64).contains(&y) && (0..self.w as i64).contains(&x);
        inside.then(|| i64::from(self.data[(y as usize * self.w + x as usize) * self.c + c]))
    }
}

/// Vertical and horizontal numbers of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) pad: [usize; 2],
    /// Height and width of the output.
    pub(crate) out: [usize; 2],
}

impl Geometry {
    /// `(ky, kx, y, x)` of every tap of output pixel `(oy, ox)`, padding included.
    fn taps(&self, oy: usize, ox: usize) -> Vec<(usize, usize, i64, i64)> {
        let position = |axis: usize, o: usize, k: usize| {
            (o * self.stride[axis] + k * self.dilation[axis]) as i64 - self.pad[axis] as i64
        };
        let mut taps = vec![];
        for ky in 0..self.kernel[0] {
            for kx in 0..self.kernel[1] {
                taps.push((ky, kx, position(0, oy, ky), position(1, ox, kx)));
            }
        }
        taps
    }
}

/// What becomes of an accumulator.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) bias: Vec<i32>,
    pub(crate) multiplier: Vec<i32>,
    pub(crate) shift: Vec<i8>,
    pub(crate) zero_point: i64,
    pub(crate) min: i8,
    pub(crate) max: i8,
}

impl Output {
    fn clamp(&self, x: i64) -> i8 {
        x.clamp(self.min.into(), self.max.into()) as i8
    }
    fn finish(&self, raw: i64, o: usize) -> i8 {
        let acc = raw + i64::from(self.bias[o]);
        let scaled = scale(acc, self.multiplier[o].into(), self.shift[o].into());
        self.clamp(scaled + self.zero_point)
    }
}

/// `x · 2^max(shift, 0) · multiplier / 2^31`, half up, then `/ 2^max(−shift, 0)`, half away from zero.
pub(crate) fn scale(x: i64, multiplier: i64, shift: i64) -> i64 {
    let product = i128::from(x) * (1i128 << shift.max(0)) * i128::from(multiplier);
    let high = (2 * product + (1 << 31)).div_euclid(1 << 32);
    let high = high.min(i128::from(i32::MAX));
    let divisor = 1i128 << (-shift).max(0);
    let magnitude = (2 * high.abs() + divisor) / (2 * divisor);
    (high.signum() * magnitude) as i64
}

fn each_pixel(
    out: [usize; 2],
    c: usize,
    mut value: impl FnMut(usize, usize, usize) -> i8,
) -> Vec<i8> {
    let mut all = vec![];
    for y in 0..out[0] {
        for x in 0..out[1] {
            all.extend((0..c).map(|o| value(y, x, o)));
        }
    }
    all
}

/// Weights `[out_ch][kh][kw][in_ch]`.
pub(crate) fn conv2d(src: &Image, g: &Geometry, weights: &[i8], to: &Output) -> Vec<i8> {
    each_pixel(g.out, to.bias.len(), |y, x, o| {
        to.finish(conv2d_raw(src, g, weights, [y, x, o]), o)
    })
}

/// The bias-free accumulator of output `[y, x, o]` of [`conv2d`].
pub(crate) fn conv2d_raw(src: &Image, g: &Geometry, weights: &[i8], [y, x, o]: [usize; 3]) -> i64 {
    let mut raw = 0;
    for (ky, kx, iy, ix) in g.taps(y, x) {
        for i in 0..src.c {
            let q = src.at(iy, ix, i).unwrap_or(src.zero_point);
            let index = ((o * g.kernel[0] + ky) * g.kernel[1] + kx) * src.c + i;
            raw += (q - src.zero_point) * i64::from(weights[index]);
        }
    }
    raw
}

/// Weights `[kh][kw][ch]`.
pub(crate) fn depthwise(src: &Image, g: &Geometry, weights: &[i8], to: &Output) -> Vec<i8> {
    each_pixel(g.out, src.c, |y, x, o| {
        to.finish(depthwise_raw(src, g, weights, [y, x, o]), o)
    })
}

pub(crate) fn depthwise_raw(
    src: &Image,
    g: &Geometry,
    weights: &[i8],
    [y, x, o]: [usize; 3],
) -> i64 {
    let mut raw = 0;
    for (ky, kx, iy, ix) in g.taps(y, x) {
        let q = src.at(iy, ix, o).unwrap_or(src.zero_point);
        let w = weights[(ky * g.kernel[1] + kx) * src.c + o];
        raw += (q - src.zero_point) * i64::from(w);
    }
    raw
}

/// Weights `[out][in]`.
pub(crate) fn fully_connected(src: &Image, weights: &[i8], to: &Output) -> Vec<i8> {
    let n = src.data.len();
    let row = |o: usize| src.data.iter().zip(&weights[o * n..]);
    let term = |(&q, &w): (&i8, &i8)| (i64::from(q) - src.zero_point) * i64::from(w);
    let outputs = 0..to.bias.len();
    outputs
        .map(|o| to.finish(row(o).map(term).sum(), o))
        .collect()
}

/// `scales`: multiplier and shift of lhs, rhs and the sum.
pub(crate) fn add(lhs: &Image, rhs: &Image, scales: [(i32, i8); 3], to: &Output) -> Vec<i8> {
    let by = |x: i64, (m, s): (i32, i8)| scale(x, m.into(), s.into());
    let input = |q: i8, zero_point: i64| (i64::from(q) - zero_point) << 20;
    let pairs = lhs.data.iter().zip(&rhs.data);
    let sum = |(&l, &r): (&i8, &i8)| {
        let l = by(input(l, lhs.zero_point), scales[0]);
        let r = by(input(r, rhs.zero_point), scales[1]);
        to.clamp(by(l + r, scales[2]) + to.zero_point)
    };
    pairs.map(sum).collect()
}

/// What [`place`] does with positions.
pub(crate) struct Place {
    pub(crate) first: usize,
    pub(crate) stride: usize,
    pub(crate) offset: usize,
    pub(crate) factor: (i32, i8),
}

/// `old` of `out` pixels with the channels from `first` on from every `stride`-th pixel of `src`.
pub(crate) fn place(
    src: &Image,
    place: &Place,
    (out, c): ([usize; 2], usize),
    old: &[i8],
    to: &Output,
) -> Vec<i8> {
    each_pixel(out, c, |y, x, o| match o.checked_sub(place.first) {
        Some(from) if from < src.c => {
            let at = |k: usize| (k * place.stride + place.offset) as i64;
            let value = src.at(at(y), at(x), from).unwrap_or(src.zero_point);
            let (m, s) = place.factor;
            to.clamp(scale(value - src.zero_point, m.into(), s.into()) + to.zero_point)
        }
        _ => old[(y * out[1] + x) * c + o],
    })
}

/// Taps outside the image do not count.
pub(crate) fn max_pool(src: &Image, g: &Geometry, to: &Output) -> Vec<i8> {
    each_pixel(g.out, src.c, |y, x, c| {
        let taps = g.taps(y, x);
        let inside = taps.iter().filter_map(|&(_, _, iy, ix)| src.at(iy, ix, c));
        to.clamp(inside.max().unwrap())
    })
}

/// Taps outside the image do not count; halves go away from zero.
pub(crate) fn avg_pool(src: &Image, g: &Geometry, to: &Output) -> Vec<i8> {
    each_pixel(g.out, src.c, |y, x, c| {
        let taps = g.taps(y, x);
        let inside = taps.iter().filter_map(|&(_, _, iy, ix)| src.at(iy, ix, c));
        let inside: Vec<i64> = inside.collect();
        let mean = inside.iter().sum::<i64>() as f64 / inside.len() as f64;
        to.clamp(mean.round() as i64)
    })
}

/// `(multiplier, shift)` of the sum over all pixels.
pub(crate) fn global_avg_pool(src: &Image, (m, s): (i32, i8), to: &Output) -> Vec<i8> {
    let pixels = || src.data.chunks(src.c);
    let sum = |c: usize| pixels().map(|p| i64::from(p[c]) - src.zero_point).sum();
    let mean = |c: usize| scale(sum(c), m.into(), s.into()) + to.zero_point;
    (0..src.c).map(|c| to.clamp(mean(c))).collect()
}
