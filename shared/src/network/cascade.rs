//! Layers that run together, some rows at a time. It owns the order of the work and the moving of rows; which rows they
//! are is [`crate::cascade`]'s.

use super::{LayerHooks, run_on};
use crate::blob::Model;
use crate::cascade::narrowed;
use crate::layer::Cascade;

/// Runs `cascade` of `model`, with `hooks` in its first layer.
#[inline(never)]
pub(super) fn run(
    model: &Model<'_>,
    cascade: &Cascade,
    arena: &mut [i8],
    hooks: &LayerHooks<'_>,
) -> Option<()> {
    let none = LayerHooks::default();
    let stages = model.stages(cascade)?;
    for turn in stages.turns() {
        for (i, index) in cascade.layers().enumerate() {
            let layer = model.layer(index)?;
            let output = model.tensor(layer.output)?;
            if i + 1 < usize::from(cascade.layers) {
                let row = output.row_len();
                let kept = stages.kept(&turn, i);
                let (from, start) = (kept.start * row, usize::try_from(output.offset).ok()?);
                if from > 0 {
                    let end = start.checked_add(kept.end * row)?;
                    slide(arena.get_mut(start..end)?, from);
                }
            }
            let Some(stripe) = stages.stripe(&turn, i) else {
                continue;
            };
            let [first, second] = layer.inputs.map(|t| model.tensor(t));
            let tensors = [&first?, &second?, &output];
            let (layer, tensors) = narrowed(&layer, tensors, (&stages, i, &stripe));
            let hooks = if i == 0 { hooks } else { &none };
            run_on(model, (index, &layer), arena, tensors.each_ref(), hooks)?;
        }
    }
    Some(())
}

/// Moves what begins at `from` to the front, in words where that is a whole number of them.
fn slide(place: &mut [i8], from: usize) {
    fn moved<T: Copy>(items: &mut [T], from: usize) {
        // Not `copy_within`, whose `memmove` takes 1.6 kB of flash.
        for to in 0..items.len().saturating_sub(from) {
            if let Some(&item) = items.get(to + from)
                && let Some(place) = items.get_mut(to)
            {
                *place = item;
            }
        }
    }
    match from.is_multiple_of(4) && place.len().is_multiple_of(4) {
        true => moved(place.as_chunks_mut::<4>().0, from / 4),
        false => moved(place, from),
    }
}
