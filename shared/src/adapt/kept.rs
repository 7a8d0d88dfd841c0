//! The head alone, on features that were kept: learning replayed without the layers below it.
//!
//! It owns the way in and out for the input of the last layer; it must not know where features were kept.
//! As nothing above a feature reaches back into the layers below, a head fed with the features of a
//! stream learns, bit for bit, what it would learn from the stream's images.

use super::overlay::head_layer;
use super::{AdaptError, Plastic, Prediction};
use crate::blob::Model;
use crate::network::{ArenaError, infer_sample};

impl Plastic<'_> {
    /// The input of the last layer for the last image, i8 as bytes, `[d]`.
    ///
    /// # Errors
    /// The buffer is not the one this state was made with, which no call can cause.
    pub fn features(&mut self) -> Result<&[u8], AdaptError> {
        Ok(self.parts()?.features)
    }

    /// [`Plastic::infer`] from the last layer on, whose input is `features`, i8 as bytes, `[d]`.
    ///
    /// # Errors
    /// The state belongs to another model, or `arena` or `features` has the wrong size.
    pub fn infer_features(
        &mut self,
        model: &Model<'_>,
        arena: &mut [i8],
        features: &[u8],
    ) -> Result<Prediction, AdaptError> {
        let (got_bytes, want_bytes) = (features.len(), model.features().len());
        if got_bytes != want_bytes {
            return Err(AdaptError::Arena(ArenaError::Input {
                got_bytes,
                want_bytes,
            }));
        }
        let sample = (head_layer(model), features);
        let class = self.classify(model, false, |scores, overlay| {
            infer_sample(model, arena, sample, scores, overlay)
        })?;
        // Layers below saw nothing of it.
        self.parts()?.activity.fill(0);
        self.scheduler.before_image(false, 0);
        Ok(self.seen(class, false))
    }
}
