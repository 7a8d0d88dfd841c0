//! All that an attack may ask of a network, and what all attacks along a gradient are told.

/// A classifier of images.
pub trait Target {
    /// Outputs of one image.
    fn n_classes(&self) -> usize;

    /// `[n, classes]` of `pixels` `[n, h, w, c]`.
    fn logits(&self, pixels: &[f32]) -> Vec<f32>;

    /// Logits, and `Σ error·∂logits/∂pixel` `[n, h, w, c]`, or what the target offers in its place, for
    /// `error(logits)` `[n, classes]`.
    fn pull(
        &self,
        pixels: &[f32],
        error: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> (Vec<f32>, Vec<f32>);
}

/// How an attack along a gradient goes.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Largest change of a pixel, 0 to 1.
    pub epsilon: f32,
    /// Gradients asked for.
    pub n_steps: usize,
    /// Everything random follows from it, the image and the restart.
    pub seed: u64,
    /// Which of several independent tries.
    pub restart: u32,
    /// Leave an image alone once the target gets it wrong. Not for images crafted on one network to
    /// be tried on another.
    pub stop: bool,
}
