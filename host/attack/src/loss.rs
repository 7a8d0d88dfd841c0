//! What attacks raise: losses of one image's logits, with their derivatives. In f64, so that the error
//! of a confident answer does not vanish in rounding (up to a margin of 700): that would be masking of
//! our own making.

/// A loss of the logits.
#[derive(Clone, Copy, Debug)]
pub enum Loss<'a> {
    /// Cross-entropy of the label: `ln Σ exp(z_i) − z_y`.
    CrossEntropy,
    /// Difference of logits ratio: `−(z_y − max_{i≠y} z_i) / (z_(1) − z_(3))` with `z_(k)` the k-th largest
    /// (Croce, Hein 2020, arXiv:2003.01690, eq. 6); unlike cross-entropy it does not change when all
    /// logits are shifted or scaled. Needs three classes.
    Dlr,
    /// `KL(softmax r ‖ softmax z)` to reference logits `[n, classes]`; no label (Zhang et al. 2019,
    /// arXiv:1901.08573).
    Divergence(&'a [f32]),
}

impl Loss<'_> {
    /// The loss of `logits`, and its derivative with respect to each of them. `image` is the row of the
    /// reference.
    pub fn at(&self, logits: &[f32], label: u16, image: usize) -> (f64, Vec<f64>) {
        match self {
            Loss::CrossEntropy => cross_entropy(logits, label.into()),
            Loss::Dlr => dlr(logits, label.into()),
            Loss::Divergence(reference) => {
                let n = logits.len();
                divergence(&reference[image * n..][..n], logits)
            }
        }
    }
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let max = logits
        .iter()
        .fold(f64::NEG_INFINITY, |m, &z| m.max(z.into()));
    let sum: f64 = logits.iter().map(|&z| (f64::from(z) - max).exp()).sum();
    let log = max + sum.ln();
    logits.iter().map(|&z| f64::from(z) - log).collect()
}

fn cross_entropy(logits: &[f32], label: usize) -> (f64, Vec<f64>) {
    let log = log_softmax(logits);
    let mut error: Vec<f64> = log.iter().map(|l| l.exp()).collect();
    // Not `p − 1`, which is 0 for a confident answer.
    error[label] = 0.0;
    error[label] = -error.iter().sum::<f64>();
    // Nor `ln Σ exp(z_i) − z_y`, which is 0 for it, too.
    let others = log.iter().enumerate().filter(|(i, _)| *i != label);
    let odds: f64 = others.map(|(_, l)| (l - log[label]).exp()).sum();
    let value = if odds < 1.0 {
        odds.ln_1p()
    } else {
        -log[label]
    };
    (value, error)
}

fn divergence(reference: &[f32], logits: &[f32]) -> (f64, Vec<f64>) {
    let (p, q) = (log_softmax(reference), log_softmax(logits));
    let both = || p.iter().zip(&q);
    let value = both().map(|(p, q)| p.exp() * (p - q)).sum();
    (value, both().map(|(p, q)| q.exp() - p.exp()).collect())
}

fn dlr(logits: &[f32], label: usize) -> (f64, Vec<f64>) {
    let z = |i: usize| f64::from(logits[i]);
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let rival = order[usize::from(order[0] == label)];
    let (first, third) = (order[0], order[2]);
    let margin = z(label) - z(rival);
    let spread = z(first) - z(third) + 1e-12;
    let mut error = vec![0.0; logits.len()];
    error[label] -= 1.0 / spread;
    error[rival] += 1.0 / spread;
    let slope = margin / (spread * spread);
    error[first] += slope;
    error[third] -= slope;
    (-margin / spread, error)
}

/// `z_y − max_{i≠y} z_i`: below 0 for a wrong answer.
pub fn margin(logits: &[f32], label: u16) -> f32 {
    let others = logits.iter().enumerate();
    let others = others.filter(|(i, _)| *i != usize::from(label));
    let rival = others.fold(f32::NEG_INFINITY, |m, (_, &z)| m.max(z));
    logits[usize::from(label)] - rival
}

/// The first largest.
pub fn predicted(logits: &[f32]) -> u16 {
    (1..logits.len()).fold(0, |b, i| if logits[i] > logits[b] { i } else { b }) as u16
}
