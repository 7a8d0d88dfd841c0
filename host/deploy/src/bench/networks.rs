//! MLPerf Tiny's networks as shapes with random numbers, but for [`super::vww`].
//!
//! Owns the shapes and must not know what is measured.

use super::model::{Builder, Taps};
use crate::DeployError;

/// Keyword spotting's first convolution.
pub(super) const KWS_STEM: Taps = Taps {
    rows: 10,
    columns: 4,
    stride: 2,
    pad: [4, 1],
    dilation: 1,
};

/// MLPerf Tiny's image classification, ResNet8 on 32×32×3.
pub(super) fn resnet8() -> Result<Vec<u8>, DeployError> {
    let mut b = Builder::new([32, 32, 3]);
    let mut x = b.conv(0, Taps::same(3, 1), [32, 32, 16]);
    for (side, c, stride) in [(32, 16, 1), (16, 32, 2), (8, 64, 2)] {
        let main = b.conv(x, Taps::same(3, stride), [side, side, c]);
        let main = b.conv(main, Taps::same(3, 1), [side, side, c]);
        let skip = match stride {
            1 => x,
            _ => b.conv(
                x,
                Taps {
                    stride,
                    ..Taps::same(1, 1)
                },
                [side, side, c],
            ),
        };
        x = b.add([skip, main]);
    }
    let mean = b.mean(x);
    b.linear(mean, 10);
    b.blob()
}

/// MLPerf Tiny's keyword spotting, DS-CNN on 49×10.
pub(super) fn ds_cnn() -> Result<Vec<u8>, DeployError> {
    let mut b = Builder::new([49, 10, 1]);
    let mut x = b.conv(0, KWS_STEM, [25, 5, 64]);
    for _ in 0..4 {
        x = b.depthwise(x, Taps::same(3, 1), [25, 5]);
        x = b.pointwise(x, 64);
    }
    let mean = b.mean(x);
    b.linear(mean, 12);
    b.blob()
}

/// MLPerf Tiny's anomaly detection, an autoencoder of 640 values.
pub(super) fn autoencoder() -> Result<Vec<u8>, DeployError> {
    let mut b = Builder::new([1, 1, 640]);
    let mut x = 0;
    for n in [128, 128, 128, 128, 8, 128, 128, 128, 128, 640] {
        x = b.linear(x, n);
    }
    b.blob()
}

/// `n` taps in time, with the padding that TensorFlow calls SAME or none.
pub(super) const fn in_time(n: u8, stride: u8, padded: bool) -> Taps {
    Taps {
        rows: n,
        columns: 1,
        stride,
        pad: [if padded { (n - stride) / 2 } else { 0 }, 0],
        dilation: 1,
    }
}

/// A streaming wake word network of MLPerf Tiny's shapes: 30 frames of 40 mel features, separable convolutions
/// in time without padding.
pub(super) fn wake_word() -> Result<Vec<u8>, DeployError> {
    let mut b = Builder::new([30, 1, 40]);
    let (mut x, mut frames) = (0, 30);
    for (taps, channels) in [(3, 128), (5, 128), (10, 128), (15, 32)] {
        frames -= u16::from(taps) - 1;
        x = b.depthwise(x, in_time(taps, 1, false), [frames, 1]);
        x = b.pointwise(x, channels);
    }
    b.linear(x, 3);
    b.blob()
}
