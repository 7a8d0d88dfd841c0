//! PAD: zeros around an image, taken in by the windows that read it.
//!
//! Owns where that gives the same bits. Convolutions leave taps in their padding out, which hold real 0: any
//! padding is theirs. A maximum leaves them out, too, which is the same if real 0 is the smallest value,
//! −128, as behind a RELU. A mean counts them, so that it cannot. Source: TensorFlow's `pad.cc`.

use super::shape::same_scale;
use super::{Fault, Located, Lowering};
use aplysia_shared::Tensor;

/// Rows above and below, columns to the left and right.
pub(super) type Padding = [[u16; 2]; 2];

impl Lowering<'_> {
    /// PAD: the same bytes with zeros around them.
    pub(super) fn pad(&mut self, inputs: &[i32], output: i32) -> Result<(), Located> {
        let &[input, sizes] = inputs else {
            return Err((output, Fault::Missing));
        };
        let (place, src) = self.source(input)?;
        let dst = self.activation(output)?;
        let rank = self.found(input)?.shape.len();
        let numbers = self.integers(sizes)?;
        let sizes: Vec<u16> = numbers
            .iter()
            .filter_map(|&n| u16::try_from(n).ok())
            .collect();
        // Of the last dimension first: channels, columns, rows, batch.
        let mut pads = [[0; 2]; 4];
        for (pad, pair) in pads.iter_mut().zip(sizes.as_chunks::<2>().0.iter().rev()) {
            *pad = *pair;
        }
        let [channels, columns, rows, batch] = pads;
        let padding = [rows, columns];
        let sound = numbers.len() == 2 * rank && sizes.len() == numbers.len();
        let grown = |size: u16, pad| i64::from(size) + around(pad);
        let fits = (grown(src.h, rows), grown(src.w, columns), src.c)
            == (dst.h.into(), dst.w.into(), dst.c);
        if !sound || !fits || [channels, batch] != [[0; 2]; 2] || !same_scale(&src, &dst) {
            let want = "the input's scale, and its rows and columns with the padding's";
            return Err((output, self.misfit(output, want, &src, &dst)));
        }
        if padding != [[0; 2]; 2] {
            self.pads.insert(output, padding);
        }
        self.alias(output, place);
        Ok(())
    }

    /// The tensor of the blob that `tensor` is inside its padding, what it looks like, and the padding.
    pub(super) fn window_source(&mut self, tensor: i32) -> Result<(u8, Tensor, Padding), Located> {
        let Some(padding) = self.pads.get(&tensor).copied() else {
            let (place, src) = self.source(tensor)?;
            return Ok((place, src, [[0; 2]; 2]));
        };
        let place = self.place(tensor)?;
        let src = self.tensors[usize::from(place)];
        let own = self.activation(tensor)?;
        let [rows, columns] = padding.map(around);
        let inside = (i64::from(own.h) - rows, i64::from(own.w) - columns, own.c);
        if inside != (src.h.into(), src.w.into(), src.c) {
            let got = self.found(tensor)?.shape.clone();
            return Err((tensor, Fault::Reshape { got }));
        }
        Ok((place, src, padding))
    }

    /// The fault that `operator` cannot take in the padding of a tensor.
    pub(super) fn unpadded(
        &self,
        tensor: i32,
        operator: &'static str,
        remedy: &'static str,
    ) -> Result<(), Located> {
        match self.pads.get(&tensor).copied() {
            None => Ok(()),
            Some(padding) => Err((
                tensor,
                Fault::Padding {
                    padding,
                    operator,
                    remedy,
                },
            )),
        }
    }
}

/// All that is put around a dimension.
fn around(pad: [u16; 2]) -> i64 {
    pad.into_iter().map(i64::from).sum()
}
