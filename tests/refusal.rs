//! Every rule of parsing, broken one at a time: the refusal names the rule.
//!
//! It owns the breaking; the whole model it starts from is the tiny one of the blob tests.

use aplysia_shared::{BlobError, GraphV1, Op};

use crate::blob::{encoded, tiny};

/// What parsing says after `change`.
fn refusal(change: impl FnOnce(&mut GraphV1, &mut Vec<u8>)) -> BlobError {
    let (mut graph, mut data) = tiny();
    change(&mut graph, &mut data);
    encoded(&graph, &data).unwrap_err()
}

#[test]
fn broken_graphs_are_refused_by_the_rule_they_break() {
    use BlobError::*;
    let zero = refusal(|g, _| g.tensors[1].w = 0);
    assert!(matches!(zero, Shape { tensor: 1, .. }));
    assert_eq!(
        refusal(|g, _| g.tensors[2].scale = f32::NAN),
        Scale { tensor: 2 }
    );
    assert_eq!(
        refusal(|g, _| g.tensors[2].scale = 0.0),
        Scale { tensor: 2 }
    );
    let overlap = |lhs, rhs| Overlap { lhs, rhs };
    assert_eq!(refusal(|g, _| g.tensors[2].offset -= 1), overlap(2, 1));
    // The sum still reads the first convolution when the pointwise layer runs.
    assert_eq!(refusal(|g, _| g.tensors[3].offset = 100), overlap(3, 1));
    assert_eq!(
        refusal(|g, _| g.layers[2].inputs = [4; 2]),
        Order {
            layer: 2,
            tensor: 4
        }
    );
    assert_eq!(
        refusal(|g, _| g.layers[2].output = 1),
        Order {
            layer: 2,
            tensor: 1
        }
    );
    assert_eq!(
        refusal(|g, _| g.layers[1].inputs = [1, 0]),
        Inputs { layer: 1 }
    );
    assert_eq!(refusal(|g, _| g.output = 7), Head);
    assert_eq!(
        refusal(|g, _| g.layers.clear()),
        Order {
            layer: 0,
            tensor: 1
        }
    );
    assert_eq!(
        refusal(|g, _| g.layers[5].op = g.layers[3].op),
        LayerShape { layer: 5 }
    );
    let window = |change: fn(&mut aplysia_shared::Window)| {
        refusal(|g, _| match &mut g.layers[4].op {
            Op::MaxPool(window) => change(window),
            op => unreachable!("{op:?}"),
        })
    };
    assert_eq!(window(|w| w.stride_h = 0), Window { layer: 4 });
    assert_eq!(window(|w| w.pad_top = 2), Window { layer: 4 });
    assert_eq!(window(|w| w.stride_w = 3), Window { layer: 4 });
    assert_eq!(window(|w| w.dilation_h = 2), Window { layer: 4 });
    assert_eq!(
        refusal(|g, _| g.tensors[5].zero_point = 3),
        PoolScale { layer: 4 }
    );
    let empty = |g: &mut GraphV1| (g.layers[1].clamp.min, g.layers[1].clamp.max) = (1, 0);
    assert_eq!(
        refusal(|g, _| empty(g)),
        Clamp {
            layer: 1,
            min: 1,
            max: 0
        }
    );
}

#[test]
fn broken_data_is_refused_by_the_rule_it_breaks() {
    use BlobError::*;
    let (graph, _) = tiny();
    let head = graph.layers[7].params as usize;
    assert!(matches!(
        refusal(|g, _| g.layers[0].params += 2),
        Data { layer: 0, .. }
    ));
    assert!(matches!(
        refusal(|g, _| g.layers[7].params = 1 << 30),
        Data { layer: 7, .. }
    ));
    let negative = refusal(|_, d| d[head + 12 + 3] |= 0x80);
    assert!(matches!(
        negative,
        Scaling {
            layer: 7,
            channel: 0,
            ..
        }
    ));
    let shift = refusal(|_, d| d[head + 24] = 31);
    assert!(matches!(
        shift,
        Scaling {
            layer: 7,
            channel: 0,
            shift: 31,
            ..
        }
    ));
    // The head counts with weights of 127: 300 + 4·127·255 = 129,840 may move 14 bits, not 15.
    let bound = Accumulator {
        layer: 7,
        channel: 0,
        bound: 129_840,
        shift: 15,
    };
    assert_eq!(refusal(|_, d| d[head + 24] = 15), bound);
    let (graph, data) = tiny();
    let mut shifted = data.clone();
    shifted[head + 24] = 14;
    assert!(encoded(&graph, &shifted).is_ok());
    let stats = graph.layers[7].homeostasis.unwrap() as usize;
    assert_eq!(refusal(|_, d| d[stats + 12] = 0), Homeostasis { layer: 7 });
    assert_eq!(
        refusal(|g, _| g.layers[3].homeostasis = Some(0)),
        Homeostasis { layer: 3 }
    );
    let offset = graph.prototypes.unwrap();
    let place = offset as usize..offset as usize + 2;
    let far = refusal(|_, d| d[place].copy_from_slice(&(-32_641i16).to_le_bytes()));
    assert_eq!(far, Prototypes { offset });
    let text = graph.labels.offset as usize;
    assert_eq!(refusal(|_, d| d[text] = 0xFF), Labels { got: 0, want: 3 });
    assert_eq!(refusal(|_, d| d[text] = b'\n'), Labels { got: 3, want: 3 });
    assert_eq!(
        refusal(|g, _| g.labels.len -= 4),
        Labels { got: 2, want: 3 }
    );
}
