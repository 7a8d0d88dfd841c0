//! Per-channel loops over NHWC rows: batch-norm statistics, normalisation, activation and their
//! derivatives. A row is one pixel's channels.

use super::simd::mul_add;

/// Batch norm as the loops need it: `z = y·scale + shift`.
pub(super) struct Norm<'a> {
    pub(super) mean: &'a [f32],
    pub(super) scale: &'a [f32],
    pub(super) shift: &'a [f32],
    pub(super) relu: bool,
}

/// Batch-norm derivative: `dy = scale·dz + slope·y + offset` with the gradients of γ and β.
pub(super) struct Backward {
    pub(super) dgamma: Vec<f32>,
    pub(super) dbeta: Vec<f32>,
    slope: Vec<f32>,
    offset: Vec<f32>,
}

impl Backward {
    /// Of a node without batch norm: `dy = dz`.
    pub(super) fn identity(c: usize) -> Self {
        Self {
            dgamma: vec![0.0; c],
            dbeta: vec![0.0; c],
            slope: vec![0.0; c],
            offset: vec![0.0; c],
        }
    }
}

/// `[Σ y, Σ y²]` per channel over the rows of `y`; f32 within an image of `image` elements, f64 across.
pub(super) fn sums(y: &[f32], c: usize, image: usize) -> Vec<f64> {
    let mut total = vec![0.0; 2 * c];
    let mut part = vec![0.0; 2 * c];
    for image in y.chunks(image) {
        part.fill(0.0);
        let (sum, square) = part.split_at_mut(c);
        sums_rows(image, sum, square);
        add(&mut total, &part);
    }
    total
}

fn add(total: &mut [f64], part: &[f32]) {
    for (t, &p) in total.iter_mut().zip(part) {
        *t += f64::from(p);
    }
}

/// Adds task sums in task order.
fn reduce(parts: &[Vec<f64>], len: usize) -> Vec<f64> {
    let mut total = vec![0.0; len];
    for part in parts {
        for (t, p) in total.iter_mut().zip(part) {
            *t += p;
        }
    }
    total
}

/// Mean and biased variance per channel over `rows` rows.
pub(super) fn moments(parts: &[Vec<f64>], c: usize, rows: usize) -> (Vec<f32>, Vec<f32>) {
    let total = reduce(parts, 2 * c);
    let mean = total[..c].iter().map(|s| s / rows as f64);
    let var = mean
        .clone()
        .zip(&total[c..])
        .map(|(m, q)| (q / rows as f64 - m * m).max(0.0));
    (
        mean.clone().map(|m| m as f32).collect(),
        var.map(|v| v as f32).collect(),
    )
}

/// Batch norm as a line per channel: `scale = γ/sqrt(σ² + ε)`, `shift = β − μ·scale`.
pub(super) fn affine_of(
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    var: &[f32],
    eps: f32,
) -> (Vec<f32>, Vec<f32>) {
    let scale: Vec<f32> = gamma
        .iter()
        .zip(var)
        .map(|(g, v)| g / (v + eps).sqrt())
        .collect();
    let shift = beta
        .iter()
        .zip(mean)
        .zip(&scale)
        .map(|((b, m), s)| b - m * s)
        .collect();
    (scale, shift)
}

/// `[Σ dz', Σ dz'·(y − μ)]` per channel, `dz'` = `dz` where the activation let it through.
pub(super) fn grad_sums(y: &[f32], dz: &[f32], norm: &Norm) -> Vec<f64> {
    const ROWS: usize = 256;
    let c = norm.mean.len();
    let mut total = vec![0.0; 2 * c];
    let mut part = vec![0.0; 2 * c];
    for (y, dz) in y.chunks(ROWS * c).zip(dz.chunks(ROWS * c)) {
        part.fill(0.0);
        let (first, second) = part.split_at_mut(c);
        grad_sums_rows(y, dz, norm, first, second);
        add(&mut total, &part);
    }
    total
}

/// Closes the reductions of the backward pass over `rows` rows.
pub(super) fn backward_of(
    parts: &[Vec<f64>],
    norm: &Norm,
    var: &[f32],
    rows: usize,
    eps: f32,
) -> Backward {
    let c = norm.mean.len();
    let total = reduce(parts, 2 * c);
    let mut b = Backward {
        dgamma: vec![],
        dbeta: vec![],
        slope: vec![],
        offset: vec![],
    };
    for i in 0..c {
        let rstd = 1.0 / f64::from(var[i] + eps).sqrt();
        let (dbeta, dgamma) = (total[i], total[c + i] * rstd);
        let scale = f64::from(norm.scale[i]);
        let slope = -scale * rstd * dgamma / rows as f64;
        b.dbeta.push(dbeta as f32);
        b.dgamma.push(dgamma as f32);
        b.slope.push(slope as f32);
        let offset = -scale * dbeta / rows as f64 - slope * f64::from(norm.mean[i]);
        b.offset.push(offset as f32);
    }
    b
}

simd_dispatch!(fn sums_rows(y: &[f32], sum: &mut [f32], square: &mut [f32]) = sums_body);

#[inline(always)]
fn sums_body<const FMA: bool>(y: &[f32], sum: &mut [f32], square: &mut [f32]) {
    for row in y.chunks_exact(sum.len()) {
        for ((&v, s), q) in row.iter().zip(&mut *sum).zip(&mut *square) {
            *s += v;
            *q = mul_add::<FMA>(v, v, *q);
        }
    }
}

simd_dispatch!(
    /// `z = relu?(y·scale + shift)`.
    pub(super) fn affine(y: &[f32], scale: &[f32], shift: &[f32], relu: bool, z: &mut [f32]) = affine_body);

#[inline(always)]
fn affine_body<const FMA: bool>(
    y: &[f32],
    scale: &[f32],
    shift: &[f32],
    relu: bool,
    z: &mut [f32],
) {
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    let c = scale.len();
    for (y, z) in y.chunks_exact(c).zip(z.chunks_exact_mut(c)) {
        for (((z, &y), &a), &b) in z.iter_mut().zip(y).zip(scale).zip(shift) {
            *z = mul_add::<FMA>(y, a, b).max(floor);
        }
    }
}

simd_dispatch!(
    /// `z ← relu?(z·scale + shift)`.
    pub(super) fn affine_in_place(z: &mut [f32], scale: &[f32], shift: &[f32], relu: bool) = in_place_body);

#[inline(always)]
fn in_place_body<const FMA: bool>(z: &mut [f32], scale: &[f32], shift: &[f32], relu: bool) {
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    for z in z.chunks_exact_mut(scale.len()) {
        for ((z, &a), &b) in z.iter_mut().zip(scale).zip(shift) {
            *z = mul_add::<FMA>(*z, a, b).max(floor);
        }
    }
}

simd_dispatch!(fn grad_sums_rows(y: &[f32], dz: &[f32], norm: &Norm, first: &mut [f32], second: &mut [f32])
    = grad_sums_body);

#[inline(always)]
fn grad_sums_body<const FMA: bool>(
    y: &[f32],
    dz: &[f32],
    norm: &Norm,
    first: &mut [f32],
    second: &mut [f32],
) {
    let c = norm.mean.len();
    let floor = if norm.relu { 0.0 } else { f32::NEG_INFINITY };
    let (mean, scale, shift) = (&norm.mean[..c], &norm.scale[..c], &norm.shift[..c]);
    let (first, second) = (&mut first[..c], &mut second[..c]);
    for (y, dz) in y.chunks_exact(c).zip(dz.chunks_exact(c)) {
        for i in 0..c {
            let open = mul_add::<FMA>(y[i], scale[i], shift[i]) > floor;
            let d = if open { dz[i] } else { 0.0 };
            first[i] += d;
            second[i] = mul_add::<FMA>(d, y[i] - mean[i], second[i]);
        }
    }
}

simd_dispatch!(
    /// `dy = scale·dz' + slope·y + offset`.
    pub(super) fn grad_input(y: &[f32], dz: &[f32], norm: &Norm, back: &Backward, dy: &mut [f32])
    = grad_input_body);

#[inline(always)]
fn grad_input_body<const FMA: bool>(
    y: &[f32],
    dz: &[f32],
    norm: &Norm,
    back: &Backward,
    dy: &mut [f32],
) {
    let c = norm.mean.len();
    let floor = if norm.relu { 0.0 } else { f32::NEG_INFINITY };
    let (scale, shift) = (&norm.scale[..c], &norm.shift[..c]);
    let (slope, offset) = (&back.slope[..c], &back.offset[..c]);
    for ((y, dz), dy) in y
        .chunks_exact(c)
        .zip(dz.chunks_exact(c))
        .zip(dy.chunks_exact_mut(c))
    {
        for i in 0..c {
            let open = mul_add::<FMA>(y[i], scale[i], shift[i]) > floor;
            let d = if open { dz[i] } else { 0.0 };
            dy[i] = mul_add::<FMA>(d, scale[i], mul_add::<FMA>(y[i], slope[i], offset[i]));
        }
    }
}
