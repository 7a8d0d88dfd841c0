//! The checks of who writes and reads a tensor when, and of where it lies meanwhile. It owns these rules
//! only.

use crate::blob::BlobError;
use crate::blob::graph::Graph;
use crate::cascade::{self, Stages};
use crate::kernel::over::may_lie_over;
use crate::layer::{Cascade, Layer, Op, Tensor};
use crate::scratch::with_room;

/// Of one tensor.
#[derive(Clone, Copy)]
struct Life {
    /// Step that begins to write it: 0 for the input, else one more than the layer, or than the first layer of its
    /// cascade.
    from: u8,
    /// Last step that writes or reads it.
    to: u8,
    /// Channels written so far.
    filled: u16,
}

/// Every tensor is written once before it is read, or filled by placings channel by channel, and tensors that
/// live at one time share no byte, unless one takes the place of the other. A tensor lives from the first layer
/// that writes it to the last that writes or reads it, both included; layers of a cascade count as one.
pub(super) fn check(graph: &Graph<'_>, arena_bytes: u64) -> Result<(), BlobError> {
    // Without room, which there is.
    let mut checked = Err(BlobError::GraphEncoding);
    with_room(graph.n_tensors(), &mut |lives| {
        if lives.resize(graph.n_tensors(), None).is_ok() {
            checked =
                check_lives(graph, lives).and_then(|()| check_places(graph, lives, arena_bytes));
        }
    });
    checked
}

/// Fills `lives`, one for each tensor, which live nowhere yet.
fn check_lives(graph: &Graph<'_>, lives: &mut [Option<Life>]) -> Result<(), BlobError> {
    let missing = |layer, tensor| BlobError::TensorIndex {
        layer,
        tensor,
        n_tensors: graph.n_tensors(),
    };
    let channels = |tensor: u8| graph.tensor(tensor).map_or(0, |t| t.c);
    let input = lives.get_mut(usize::from(graph.input));
    *input.ok_or(missing(0, graph.input))? = Some(Life {
        from: 0,
        to: 0,
        filled: channels(graph.input),
    });
    for layer in 0..u8::MAX {
        let cascade = Cascade::of(&graph.cascades, layer.into());
        let now = cascade.map_or(layer, |cascade| cascade.first) + 1;
        let Some(l) = graph.layer(layer.into()) else {
            break;
        };
        for tensor in l.inputs {
            match lives.get_mut(usize::from(tensor)) {
                Some(Some(life)) if life.filled == channels(tensor) => life.to = now,
                _ => return Err(BlobError::Order { layer, tensor }),
            }
        }
        let tensor = l.output;
        let life = lives.get_mut(usize::from(tensor));
        let life = life.ok_or(missing(layer, tensor))?;
        *life = Some(written(graph, &l, now, *life).ok_or(BlobError::Order { layer, tensor })?);
    }
    let last_layer = u8::try_from(graph.n_layers())
        .unwrap_or(u8::MAX)
        .saturating_sub(1);
    for (tensor, life) in (0u8..).zip(lives.iter()) {
        if life.is_none_or(|life| life.filled != channels(tensor)) {
            let layer = last_layer;
            return Err(BlobError::Order { layer, tensor });
        }
    }
    Ok(())
}

/// The life of the output of `l` after step `now`; none if it may not write there.
fn written(graph: &Graph<'_>, l: &Layer, now: u8, life: Option<Life>) -> Option<Life> {
    let c = |tensor: u8| graph.tensor(tensor).map(|t| t.c);
    match (&l.op, life) {
        (Op::Place(p), life) => {
            let (from, filled) = life.map_or((now, 0), |life| (life.from, life.filled));
            let complete = life.is_some() && Some(filled) == c(l.output);
            (p.first == filled && !complete).then_some(())?;
            Some(Life {
                from,
                to: now,
                filled: filled.checked_add(c(l.inputs[0])?)?,
            })
        }
        (_, None) => Some(Life {
            from: now,
            to: now,
            filled: c(l.output).unwrap_or(0),
        }),
        _ => None,
    }
}

/// Whether tensor `b` takes the place of tensor `a` in the step that reads `a` last and writes `b`.
fn lies_over(
    graph: &Graph<'_>,
    (a, a_start, a_life): (u8, u32, &Life),
    (b, b_start, b_life): (u8, u32, &Life),
) -> bool {
    let step = b_life.from;
    let index = step
        .checked_sub(1)
        .filter(|_| a_start == b_start && a_life.from < step && a_life.to == step);
    if let Some(cascade) = index.and_then(|index| Cascade::of(&graph.cascades, index.into())) {
        return cascade_lies_over(graph, cascade, a, b);
    }
    let Some(layer) = index.and_then(|index| graph.layer(index.into())) else {
        return false;
    };
    let [first, second] = layer.inputs;
    let tensors = [first, second, b].map(|i| graph.tensor(i));
    let ([Some(lhs), Some(rhs), Some(dst)], true) = (tensors, layer.output == b) else {
        return false;
    };
    // Both inputs of a sum cannot be under it.
    let apart = !matches!(layer.op, Op::Add(_)) || first != second;
    let can = may_lie_over(&layer.op, [&lhs, &rhs], &dst);
    apart && ((a == first && can[0]) || (a == second && can[1]))
}

/// Whether the last layer of `cascade`, which reads `a` last, may write `b` where that lies.
#[inline(never)]
fn cascade_lies_over(graph: &Graph<'_>, cascade: &Cascade, a: u8, b: u8) -> bool {
    let last = cascade.layers().last().and_then(|last| graph.layer(last));
    let stages = Stages::new(cascade, graph);
    let can = stages.is_some_and(|stages| stages.may_lie_over(cascade, graph, a));
    can && last.is_some_and(|last| last.output == b)
}

/// First byte behind a tensor; the largest number if that is more, which no arena has.
fn end_of(tensor: &Tensor) -> u32 {
    u32::try_from(tensor.end()).unwrap_or(u32::MAX)
}

/// Ends what lies between the layers of `cascade` behind the rows that are held of it.
#[inline(never)]
fn shorten(graph: &Graph<'_>, cascade: &Cascade, places: &mut [(u32, u32)]) -> Option<()> {
    let held = |tensor: u8, h: u16| {
        let place = places.get_mut(usize::from(tensor));
        if let (Some((_, end)), Some(t)) = (place, graph.tensor(tensor)) {
            *end = end_of(&Tensor { h, ..t });
        }
    };
    cascade::held(cascade, graph, held)
}

fn check_places(
    graph: &Graph<'_>,
    lives: &[Option<Life>],
    arena_bytes: u64,
) -> Result<(), BlobError> {
    // As above.
    let mut checked = Err(BlobError::GraphEncoding);
    with_room(graph.n_tensors(), &mut |places| {
        // Where each tensor lies: a large graph decodes a tensor each time it is asked for it.
        let mut tensors = (0..=u8::MAX).map_while(|tensor| graph.tensor(tensor));
        if tensors.all(|t| places.push((t.offset, end_of(&t))).is_ok()) {
            checked = check_placed(graph, lives, places, arena_bytes);
        }
    });
    checked
}

fn check_placed(
    graph: &Graph<'_>,
    lives: &[Option<Life>],
    places: &mut [(u32, u32)],
    arena_bytes: u64,
) -> Result<(), BlobError> {
    for cascade in &graph.cascades {
        let layer = cascade.first;
        shorten(graph, cascade, places).ok_or(BlobError::Cascade { layer })?;
    }
    let out =
        |&(_, (_, end)): &(u8, &(u32, u32))| *end == u32::MAX || u64::from(*end) > arena_bytes;
    if let Some((tensor, (_, end))) = (0u8..).zip(&*places).find(out) {
        let end_bytes = u64::from(*end);
        return Err(BlobError::Arena {
            tensor,
            end_bytes,
            arena_bytes,
        });
    }
    let placed = || (0u8..).zip(places.iter().zip(lives.iter().flatten()));
    for (lhs, ((a_start, a_end), a)) in placed() {
        for (rhs, ((b_start, b_end), b)) in placed().take(usize::from(lhs)) {
            let together = a.from <= b.to && b.from <= a.to;
            let shared = a_start < b_end && b_start < a_end;
            let [a, b] = [(lhs, *a_start, a), (rhs, *b_start, b)];
            if together && shared && !lies_over(graph, a, b) && !lies_over(graph, b, a) {
                return Err(BlobError::Overlap { lhs, rhs });
            }
        }
    }
    Ok(())
}
