//! A curve in a line of text, for terminals.

/// Heights, the lowest first.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// `values` from left to right in at most `width` characters, the least the lowest; of more values character `i` is the
/// mean of those from `⌊i n/width⌋` to before `⌊(i + 1) n/width⌋`. One that is no number is a blank.
pub fn spark(values: &[f64], width: usize) -> String {
    let (n, width) = (values.len(), width.min(values.len()));
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let part = |i: usize| &values[i * n / width..(i + 1) * n / width];
    let means: Vec<f64> = (0..width).map(|i| mean(part(i))).collect();
    let known = || means.iter().copied().filter(|mean| mean.is_finite());
    let (least, most) = known().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| {
        (least.min(v), most.max(v))
    });
    let top = (BLOCKS.len() - 1) as f64;
    let block = |&mean: &f64| match (mean.is_finite(), most > least) {
        (false, _) => ' ',
        (true, false) => BLOCKS[0],
        (true, true) => BLOCKS[(top * (mean - least) / (most - least)).round() as usize],
    };
    means.iter().map(block).collect()
}
