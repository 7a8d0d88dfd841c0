//! Layers that run together, some rows at a time: the same scores as one by one, whatever the arena held; what parsing
//! refuses; what the planner makes of a limit of RAM.
//!
//! It owns random networks of row by row layers with windows, strides, dilations and paddings of every kind.

use crate::blob::{encoded, packed, tiny};
use crate::cells_deploy::exported_cells;
use crate::float_network::{CLASSES, Case, INPUT};
use aplysia_deploy::cascade::within;
use aplysia_deploy::plain::{Plain, PlainLayer};
use aplysia_deploy::quantize::WeightedLayer;
use aplysia_deploy::{Content, DeployError, HomeostasisScope};
use aplysia_shared::cascade::heights;
use aplysia_shared::{
    AddScales, BlobError, Cascade, Clamp, GraphV1, Layer, Model, Op, Scaling, Tensor, Window, infer,
};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A network under construction, layer behind layer.
struct Builder {
    net: Plain,
    rng: ChaCha8Rng,
}

impl Builder {
    fn new(seed: u64) -> Self {
        let mut builder = Self {
            net: Plain {
                tensors: vec![],
                names: vec![],
                layers: vec![],
                input: 0,
                output: 0,
            },
            rng: ChaCha8Rng::seed_from_u64(seed),
        };
        let [h, w, c] = [5..24, 1..12, 1..9].map(|range| builder.rng.random_range(range));
        builder.tensor([h, w, c], None);
        builder
    }

    fn last(&self) -> Tensor {
        self.net.tensors[self.net.tensors.len() - 1]
    }

    fn tensor(&mut self, [h, w, c]: [u16; 3], zero_point: Option<i8>) {
        let drawn = *[-128, -7, 0, 90].choose(&mut self.rng).unwrap();
        self.net.tensors.push(Tensor {
            h,
            w,
            c,
            scale: 0.05,
            zero_point: zero_point.unwrap_or(drawn),
            offset: 0,
        });
        self.net.names.push(String::new());
    }

    /// A layer that reads the tensor before the last one, and perhaps `other`, and writes the last.
    fn layer(&mut self, op: Op, other: Option<u8>, constants: Option<WeightedLayer>) {
        let output = self.net.tensors.len() as u8 - 1;
        let mut inputs = [output - 1, other.unwrap_or(output - 1)];
        if self.rng.random() {
            inputs.reverse();
        }
        let clamp = match self.rng.random() {
            true => Clamp::FULL,
            false => Clamp { min: -60, max: 100 },
        };
        let layer = Layer {
            op,
            inputs,
            output,
            clamp,
            params: 0,
            homeostasis: None,
        };
        self.net.layers.push(PlainLayer { layer, constants });
    }

    fn constants(&mut self, n: usize, fan_in: usize) -> WeightedLayer {
        let rng = &mut self.rng;
        let mut drawn = |n: usize, lo: i32, hi: i32| -> Vec<i32> {
            (0..n).map(|_| rng.random_range(lo..=hi)).collect()
        };
        let small = |values: Vec<i32>| values.into_iter().map(|value| value as i8).collect();
        WeightedLayer {
            weights: small(drawn(n * fan_in, -127, 127)),
            bias: drawn(n, -3000, 3000),
            multiplier: drawn(n, 1 << 30, i32::MAX),
            shift: small(drawn(n, -9, -7)),
        }
    }

    /// A window over the last tensor, and the size of what it makes.
    fn window(&mut self, dilated: bool) -> (Window, [u16; 2]) {
        let Tensor { h, w, .. } = self.last();
        let mut axis = |size: u16| {
            let kernel = self.rng.random_range(1..=size.min(5)) as u8;
            let far = if dilated {
                self.rng.random_range(1..3)
            } else {
                1
            };
            let reach = (kernel - 1) * far;
            let pad = self.rng.random_range(0..=reach.min(size as u8 - 1));
            let stride = self.rng.random_range(1..4u8);
            // Every window begins inside the image; some end behind it.
            let most = (size + u16::from(pad) - 1) / u16::from(stride) + 1;
            let least = (size + u16::from(pad)).saturating_sub(reach.into()).max(1);
            let least = least.div_ceil(stride.into()).min(most);
            (
                kernel,
                stride,
                far,
                pad,
                self.rng.random_range(least..=most),
            )
        };
        let (rows, columns) = (axis(h), axis(w));
        let window = Window {
            kernel_h: rows.0,
            kernel_w: columns.0,
            stride_h: rows.1,
            stride_w: columns.1,
            dilation_h: rows.2,
            dilation_w: columns.2,
            pad_top: rows.3,
            pad_left: columns.3,
        };
        (window, [rows.4, columns.4])
    }

    fn step(&mut self) {
        let src = self.last();
        let c = usize::from(src.c);
        match self.rng.random_range(0..8) {
            0..=2 => {
                let (window, [h, w]) = match self.rng.random() {
                    true => self.window(true),
                    false => (Window::square(1, 1, 0), [src.h, src.w]),
                };
                let n = self.rng.random_range(1..12);
                let constants = self.constants(n, window.taps() * c);
                self.tensor([h, w, n as u16], None);
                self.layer(Op::Conv2d(window), None, Some(constants));
            }
            3 | 4 => {
                let (window, [h, w]) = self.window(true);
                let constants = self.constants(c, window.taps());
                self.tensor([h, w, src.c], None);
                self.layer(Op::DepthwiseConv2d(window), None, Some(constants));
            }
            5 => {
                let op = [Op::MaxPool, Op::AvgPool][usize::from(self.rng.random_bool(0.5))];
                let (window, [h, w]) = self.window(false);
                self.tensor([h, w, src.c], Some(src.zero_point));
                self.layer(op(window), None, None);
            }
            _ => self.sum(),
        }
    }

    /// A sum with an earlier tensor of the same shape, if there is one.
    fn sum(&mut self) {
        let Tensor { h, w, c, .. } = self.last();
        let n = self.net.tensors.len() - 1;
        let before = self.net.tensors[..n].iter();
        let other = before.clone().rposition(|t| (t.h, t.w, t.c) == (h, w, c));
        if let Some(other) = other {
            let [lhs, rhs] =
                [0; 2].map(|_| Scaling::new(self.rng.random_range(1 << 29..1 << 30), 0));
            let output = Scaling::new(1 << 30, -18);
            self.tensor([h, w, c], None);
            self.layer(
                Op::Add(AddScales { lhs, rhs, output }),
                Some(other as u8),
                None,
            );
        }
    }

    fn finish(mut self) -> Plain {
        let Tensor { h, w, c, .. } = self.last();
        let constants = self.constants(5, usize::from(h) * usize::from(w) * usize::from(c));
        self.tensor([1, 1, 5], None);
        self.layer(Op::FullyConnected, None, Some(constants));
        let last = self.net.layers.last_mut().unwrap();
        last.constants.as_mut().unwrap().shift.fill(-11);
        self.net.output = self.net.tensors.len() as u8 - 1;
        self.net
    }
}

fn random(seed: u64) -> Vec<u8> {
    let mut builder = Builder::new(seed);
    for _ in 0..8 {
        builder.step();
    }
    builder.finish().export(&[]).unwrap().blob
}

/// Scores of some inputs, the same whatever the arena holds before.
fn scores(blob: &[u8]) -> Vec<i8> {
    let model = Model::parse(blob).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut all = vec![];
    for _ in 0..3 {
        let input: Vec<i8> = (0..model.input().len()).map(|_| rng.random()).collect();
        let [first, second] = [0x55, -0x33].map(|dirt| {
            let mut scores = vec![0; model.n_classes()];
            infer(
                &model,
                &mut vec![dirt; model.arena_bytes()],
                &input,
                &mut scores,
            )
            .unwrap();
            scores
        });
        assert_eq!(first, second, "scores depend on what the arena held");
        all.extend(first);
    }
    all
}

/// `graph` with every tensor, as high as it is held, in bytes of its own; none if parsing would say so.
fn apart(mut graph: GraphV1) -> Option<GraphV1> {
    let layer = |i: usize| graph.layers.get(i).copied();
    let tensor = |t: u8| graph.tensors.get(usize::from(t)).copied();
    let heights = heights(&graph.cascades, layer, tensor)?;
    let mut end = 0;
    for (tensor, h) in graph.tensors.iter_mut().zip(heights) {
        tensor.offset = end;
        end = Tensor { h, ..*tensor }.end() as u32;
    }
    Some(graph)
}

/// Whatever layers are put together, with however few rows a turn, wherever the output lies.
#[test]
fn cascades_change_no_score() {
    let (mut ran, mut refused, mut over, mut under) = (0, 0, 0, 0);
    for seed in 0..400 {
        let blob = random(seed);
        let model = Model::parse(&blob).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..8 {
            let mut graph = model.graph();
            let mut first = 0;
            while first + 2 <= graph.layers.len() {
                let layers = rng.random_range(2..=8.min(graph.layers.len() - first));
                let cascade = Cascade {
                    first: first as u8,
                    layers: layers as u8,
                    rows: rng.random_range(1..4),
                };
                graph.cascades.push(cascade).unwrap();
                first += layers + rng.random_range(0..3);
            }
            let Some(graph) = apart(graph) else {
                refused += 1;
                continue;
            };
            let Ok(together) = encoded(&graph, model.data()) else {
                refused += 1;
                continue;
            };
            assert_eq!(together[10], 8, "asks for runtime interface 8");
            assert_eq!(
                scores(&together),
                scores(&blob),
                "seed {seed}: {:?}",
                graph.cascades
            );
            ran += 1;
            for cascade in &graph.cascades {
                let [first, .., last] = &graph.layers[cascade.layers()] else {
                    unreachable!()
                };
                let mut graph = graph.clone();
                let place = graph.tensors[usize::from(first.inputs[0])].offset;
                graph.tensors[usize::from(last.output)].offset = place;
                match encoded(&graph, model.data()) {
                    Ok(together) => {
                        assert_eq!(scores(&together), scores(&blob), "seed {seed}: {cascade:?}");
                        over += 1;
                    }
                    Err(BlobError::Overlap { .. }) => under += 1,
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
    eprintln!("{ran} ran, {refused} refused; {over} outputs over inputs, {under} refused");
    assert!(ran > 300 && refused > 300 && over > 20 && under > 100);
}

/// Networks of every space, at every limit between what they need on their own and the least.
#[test]
fn a_limit_of_ram_is_met_with_the_same_scores() {
    let content = Content {
        homeostasis: HomeostasisScope::Stem,
        ..Content::new(&CLASSES)
    };
    let mut blobs: Vec<Vec<u8>> = (0..40).map(random).collect();
    blobs.extend((0..20).map(|seed| Case::random(seed, INPUT, 2).export(&content).blob));
    blobs.extend(exported_cells(2).into_iter().map(|made| made.blob));
    let (mut smaller, mut before, mut after) = (0, 0, 0);
    for (i, blob) in blobs.iter().enumerate() {
        let most = Model::parse(blob).unwrap().arena_bytes();
        let smallest = within(blob, 0).unwrap();
        let model = Model::parse(&smallest).unwrap();
        let least = model.arena_bytes();
        assert!(least <= most, "{i}");
        assert_eq!(scores(&smallest), scores(blob), "{i}");
        smaller += usize::from(least < most);
        (before, after) = (before + most, after + least);
        for ram_bytes in [least, (least + most) / 2, most] {
            let fits = within(blob, ram_bytes).unwrap();
            let model = Model::parse(&fits).unwrap();
            assert!(model.arena_bytes() <= ram_bytes, "{i}: {ram_bytes}");
            assert_eq!(model.cascades().is_empty(), ram_bytes >= most, "{i}");
            assert_eq!(scores(&fits), scores(blob), "{i}: {ram_bytes}");
            assert_eq!(within(blob, ram_bytes).unwrap(), fits, "twice the same");
        }
    }
    eprintln!(
        "{smaller} of {} smaller, {before} bytes, then {after}",
        blobs.len()
    );
    assert!(smaller * 2 > blobs.len(), "{smaller} of {}", blobs.len());
}

/// The least is said where more is asked for, and the golden set and the counter stay.
#[test]
fn an_export_says_what_it_needs() {
    let made = || Case::random(3, INPUT, 2).export(&Content::new(&CLASSES));
    let smallest = made().within(None).unwrap();
    let least = smallest.plan.arena_bytes;
    assert!(least < made().plan.arena_bytes);
    assert_eq!(
        (smallest.costs.ram_bytes as usize).next_multiple_of(16),
        least
    );
    assert_eq!(smallest.costs.macs, made().costs.macs);
    assert!(smallest.map.contains(&format!("arena {least} bytes")));
    let ram_bytes = least - 1;
    match made().within(Some(ram_bytes)) {
        Err(DeployError::Ram {
            least: said,
            ram_bytes: asked,
        }) => {
            assert_eq!((said, asked), (least, ram_bytes));
        }
        other => panic!("{other:?}"),
    }
    let large = made().within(Some(usize::MAX)).unwrap();
    assert_eq!(large, made());
}

/// Layers 0 and 1 of the tiny model cannot be together, as the sum of layer 3 reads what is between them; 2 and 3, and 4
/// and 5, can.
#[test]
fn cascades_that_are_none_are_refused() {
    let with = |change: fn(&mut GraphV1)| {
        let (mut graph, data) = tiny();
        for layer in &mut graph.layers {
            layer.homeostasis = None;
        }
        change(&mut graph);
        encoded(&apart(graph.clone()).unwrap_or(graph), &data).map(|blob| blob.len())
    };
    fn cascade(graph: &mut GraphV1, first: u8, layers: u8, rows: u8) {
        let _ = graph.cascades.push(Cascade {
            first,
            layers,
            rows,
        });
    }
    let none = |layer| Err(BlobError::Cascade { layer });
    assert!(with(|g| cascade(g, 2, 2, 1)).is_ok());
    assert!(with(|g| cascade(g, 2, 4, 2)).is_ok());
    assert!(
        with(|g| {
            cascade(g, 2, 2, 1);
            cascade(g, 4, 2, 9);
        })
        .is_ok()
    );
    // Somebody else reads what is between; a layer that needs all of its input; the last layer; one alone; no rows.
    assert_eq!(with(|g| cascade(g, 0, 2, 1)), none(0));
    assert_eq!(with(|g| cascade(g, 5, 2, 1)), none(5));
    assert_eq!(with(|g| cascade(g, 6, 2, 1)), none(6));
    assert_eq!(with(|g| cascade(g, 2, 1, 1)), none(2));
    assert_eq!(with(|g| cascade(g, 2, 2, 0)), none(2));
    assert_eq!(with(|g| cascade(g, 7, 200, 1)), none(7));
    // Not in their order, or one layer twice.
    let twice = with(|g| {
        cascade(g, 4, 2, 1);
        cascade(g, 2, 2, 1);
    });
    assert_eq!(twice, none(2));
    let shared = with(|g| {
        cascade(g, 2, 3, 1);
        cascade(g, 4, 2, 1);
    });
    assert_eq!(shared, none(4));
    // One learns from an input that is not there as a whole; the first may.
    assert!(
        with(|g| {
            g.layers[2].homeostasis = tiny().0.layers[2].homeostasis;
            cascade(g, 2, 2, 1);
        })
        .is_ok()
    );
    let learns = with(|g| {
        g.layers[2].homeostasis = tiny().0.layers[2].homeostasis;
        cascade(g, 1, 2, 1);
    });
    assert_eq!(learns, none(1));
}

/// What is held of a tensor lies in bytes of its own, in the arena.
#[test]
fn held_rows_have_a_place() {
    let (mut graph, data) = packed();
    for layer in &mut graph.layers {
        layer.homeostasis = None;
    }
    let cascade = Cascade {
        first: 2,
        layers: 2,
        rows: 1,
    };
    graph.cascades.push(cascade).unwrap();
    let graph = apart(graph).unwrap();
    let blob = encoded(&graph, &data).unwrap();
    // One of six rows of the pointwise convolution is held.
    assert_eq!(graph.tensors[4].offset - graph.tensors[3].offset, 24);
    assert_eq!(scores(&blob), scores(&encoded(&packed().0, &data).unwrap()));
    let mut close = graph.clone();
    close.tensors[4].offset -= 4;
    let overlap = BlobError::Overlap { lhs: 4, rhs: 3 };
    assert_eq!(encoded(&close, &data), Err(overlap));
}
