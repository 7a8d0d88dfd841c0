//! Writes small TensorFlow Lite files: every operator that an import knows, with random constants.
//!
//! It owns the encoding, which shares no code with the reader, and must not know what becomes of a file.
//! Field and option numbers are those of TensorFlow's `schema.fbs`.

use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, WIPOffset};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Table = WIPOffset<TableFinishedWIPOffset>;

pub(crate) const FLOAT32: i8 = 0;
pub(crate) const INT32: i8 = 2;
pub(crate) const INT8: i8 = 9;

/// A tensor; with data it is a constant.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) kind: i8,
    pub(crate) shape: Vec<i32>,
    pub(crate) signature: Vec<i32>,
    pub(crate) scales: Vec<f32>,
    pub(crate) zero_point: i64,
    pub(crate) axis: i32,
    pub(crate) data: Vec<u8>,
}

/// A value and the number of its field in a table.
pub(crate) type Field<T> = (u16, T);

/// An operator with its option table: type number, then 8-bit and 32-bit values by field.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    pub(crate) code: i32,
    pub(crate) inputs: Vec<i32>,
    pub(crate) output: i32,
    pub(crate) options: (u8, Vec<Field<i8>>, Vec<Field<i32>>),
}

/// A file to be; the last tensor is the output.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) operators: Vec<Operator>,
    /// How often the list of tensors ends with the last one, whose bytes are there once.
    pub(crate) n_last: usize,
    rng: ChaCha8Rng,
}

impl File {
    fn tensor(&mut self, shape: &[i32], scale: f32, zero_point: i64) -> i32 {
        let index = self.tensors.len() as i32;
        self.tensors.push(Tensor {
            name: format!("tensor{index}"),
            kind: INT8,
            shape: shape.to_vec(),
            signature: vec![],
            scales: vec![scale],
            zero_point,
            axis: 0,
            data: vec![],
        });
        index
    }

    /// Weights with `n` scales along `axis`, and biases of as many channels as that axis has.
    fn constants(&mut self, shape: &[i32], n: usize, axis: usize) -> [i32; 2] {
        let scale = |i: usize| 0.002 + 0.0007 * (i % 5) as f32;
        let weights = self.tensor(shape, 0.0, 0);
        let len = shape.iter().product();
        let byte = |_: i32| self.rng.random_range(-127..=127i8).cast_unsigned();
        let data = (0..len).map(byte).collect();
        let biases: Vec<i32> = (0..shape[axis])
            .map(|_| self.rng.random_range(-3000..3000))
            .collect();
        let t = &mut self.tensors[weights as usize];
        (t.data, t.axis) = (data, axis as i32);
        t.scales = (0..n).map(scale).collect();
        let bias = self.tensor(&[shape[axis]], 0.001, 0);
        let t = &mut self.tensors[bias as usize];
        t.kind = INT32;
        t.data = biases.iter().flat_map(|b| b.to_le_bytes()).collect();
        [weights, bias]
    }

    fn operator(
        &mut self,
        code: i32,
        inputs: &[i32],
        output: i32,
        options: (u8, &[Field<i8>], &[Field<i32>]),
    ) {
        self.operators.push(Operator {
            code,
            inputs: inputs.to_vec(),
            output,
            options: (options.0, options.1.to_vec(), options.2.to_vec()),
        });
    }

    /// Every operator once, 9×7×1 in and five probabilities out.
    pub(crate) fn every_operator() -> Self {
        let mut f = Self {
            tensors: vec![],
            operators: vec![],
            n_last: 1,
            rng: ChaCha8Rng::seed_from_u64(7),
        };
        let image = f.tensor(&[1, 9, 7, 1], 0.05, 3);
        let [w, b] = f.constants(&[1, 3, 3, 4], 4, 3);
        let stem = f.tensor(&[1, 5, 4, 4], 0.04, -120);
        f.operator(
            4,
            &[image, w, b],
            stem,
            (2, &[(4, 3)], &[(1, 2), (2, 2), (3, 4)]),
        );
        let [w, b] = f.constants(&[8, 3, 3, 4], 8, 0);
        let conv = f.tensor(&[1, 5, 4, 8], 0.06, -128);
        f.operator(3, &[stem, w, b], conv, (1, &[(3, 1)], &[(1, 1), (2, 1)]));
        let [w, b] = f.constants(&[1, 3, 3, 8], 8, 3);
        let depthwise = f.tensor(&[1, 5, 4, 8], 0.05, 5);
        f.operator(
            4,
            &[conv, w, b],
            depthwise,
            (2, &[], &[(1, 1), (2, 1), (3, 1)]),
        );
        let [w, b] = f.constants(&[8, 1, 1, 8], 8, 0);
        let pointwise = f.tensor(&[1, 5, 4, 8], 0.03, -7);
        f.operator(
            3,
            &[depthwise, w, b],
            pointwise,
            (1, &[], &[(1, 1), (2, 1)]),
        );
        let sum = f.tensor(&[1, 5, 4, 8], 0.05, -90);
        f.operator(0, &[conv, pointwise], sum, (11, &[(0, 1)], &[]));
        let max = f.tensor(&[1, 3, 2, 8], 0.05, -90);
        f.operator(17, &[sum], max, (5, &[], &[(1, 2), (2, 2), (3, 2), (4, 2)]));
        let mean = f.tensor(&[1, 1, 1, 8], 0.05, -90);
        f.operator(
            1,
            &[max],
            mean,
            (5, &[(0, 1)], &[(1, 1), (2, 1), (3, 2), (4, 3)]),
        );
        let flat = f.tensor(&[1, 8], 0.05, -90);
        f.operator(22, &[mean], flat, (17, &[], &[]));
        let [w, b] = f.constants(&[5, 8], 1, 0);
        let logits = f.tensor(&[1, 5], 0.1, 10);
        f.operator(9, &[flat, w, b], logits, (8, &[], &[]));
        let output = f.tensor(&[1, 5], 1.0 / 256.0, -128);
        let beta = 1.0f32.to_bits().cast_signed();
        f.operator(25, &[logits], output, (9, &[], &[(0, beta)]));
        f
    }

    /// Two convolutions of an image of 6×5×3 put together, in another scale, averaged, five logits; tensor 7 is
    /// the concatenation of 3 and 6.
    pub(crate) fn concatenation() -> Self {
        let mut f = Self {
            tensors: vec![],
            operators: vec![],
            rng: ChaCha8Rng::seed_from_u64(8),
            n_last: 1,
        };
        let image = f.tensor(&[1, 6, 5, 3], 0.05, 3);
        let mut parts = vec![];
        for n in [4, 8] {
            let [w, b] = f.constants(&[n, 1, 1, 3], n as usize, 0);
            let part = f.tensor(&[1, 6, 5, n], 0.04, -20);
            f.operator(3, &[image, w, b], part, (1, &[], &[(1, 1), (2, 1)]));
            parts.push(part);
        }
        let whole = f.tensor(&[1, 6, 5, 12], 0.04, -20);
        f.operator(2, &parts, whole, (10, &[], &[(0, 3)]));
        let wide = f.tensor(&[1, 6, 5, 12], 0.07, 11);
        f.operator(114, &[whole], wide, (0, &[], &[]));
        let mean = f.tensor(&[1, 1, 1, 12], 0.07, 11);
        let window = [(1, 1), (2, 1), (3, 5), (4, 6)];
        f.operator(1, &[wide], mean, (5, &[(0, 1)], &window));
        let flat = f.tensor(&[1, 12], 0.07, 11);
        f.operator(22, &[mean], flat, (17, &[], &[]));
        let [w, b] = f.constants(&[5, 12], 1, 0);
        let logits = f.tensor(&[1, 5], 0.1, 10);
        f.operator(9, &[flat, w, b], logits, (8, &[], &[]));
        f
    }

    /// As MobileNet, 8×8×3 in and five logits out: two blocks whose filters are mostly 0, with biases of ±2^30,
    /// negative ones in the scale of the others and all in one in which they are small.
    pub(crate) fn dead_channels() -> Self {
        let mut f = Self {
            tensors: vec![],
            operators: vec![],
            rng: ChaCha8Rng::seed_from_u64(9),
            n_last: 1,
        };
        let image = f.tensor(&[1, 8, 8, 3], 0.05, -1);
        let [w, b] = f.constants(&[8, 3, 3, 3], 8, 0);
        let mut x = f.tensor(&[1, 4, 4, 8], 0.04, -128);
        f.operator(3, &[image, w, b], x, (1, &[(3, 1)], &[(1, 2), (2, 2)]));
        for (c, n, dead) in [(8, 16, 9), (16, 24, 17)] {
            let [w, b] = f.constants(&[1, 3, 3, c], c as usize, 3);
            let y = f.tensor(&[1, 4, 4, c], 0.04, -128);
            let steps = [(1, 1), (2, 1), (3, 1)];
            f.operator(4, &[x, w, b], y, (2, &[(4, 1)], &steps));
            let [w, b] = f.constants(&[n, 1, 1, c], n as usize, 0);
            f.kill(
                [w, b],
                (0..n as usize).map(|i| i * 7 % n as usize).take(dead),
            );
            x = f.tensor(&[1, 4, 4, n], 0.04, -128);
            f.operator(3, &[y, w, b], x, (1, &[(3, 1)], &[(1, 1), (2, 1)]));
        }
        let most = f.tensor(&[1, 1, 1, 24], 0.04, -128);
        let window = [(1, 1), (2, 1), (3, 4), (4, 4)];
        f.operator(17, &[x], most, (5, &[(0, 1)], &window));
        let flat = f.tensor(&[1, 24], 0.04, -128);
        f.operator(22, &[most], flat, (17, &[], &[]));
        let [w, b] = f.constants(&[5, 24], 1, 0);
        let logits = f.tensor(&[1, 5], 0.05, 10);
        f.operator(9, &[flat, w, b], logits, (8, &[], &[]));
        f
    }

    /// [`File::every_operator`] with a quarter of the weights -128, or, `packed`, an eighth where the packed form of a
    /// convolution has a place for all of them.
    pub(crate) fn least(packed: bool) -> Self {
        let mut f = Self::every_operator();
        for t in f.tensors.iter_mut().filter(|t| t.kind == INT8) {
            let run = match t.axis {
                0 => t.data.len() / t.shape[0] as usize,
                _ => 1,
            };
            let channels = t.shape[t.axis as usize] as usize;
            for (i, w) in t.data.iter_mut().enumerate() {
                // In the last block of channels odd ones may be the first of two.
                let even = i / run % 2 == 0 && channels.is_multiple_of(2);
                if w.cast_signed() < -64 && (even || !packed) {
                    *w = 0x80;
                }
            }
        }
        f
    }

    /// Weights of 0 and biases of ±2^30 for `channels` of [`File::constants`] along axis 0.
    fn kill(&mut self, [w, b]: [i32; 2], channels: impl Iterator<Item = usize>) {
        let [w, b] = [w, b].map(|i| i as usize);
        let n = self.tensors[w].scales.len();
        let run = self.tensors[w].data.len() / n;
        for (i, channel) in channels.enumerate() {
            self.tensors[w].data[channel * run..][..run].fill(0);
            let bias = [-1, 1, -1, -1i32][i % 4] << 30;
            self.tensors[b].data[4 * channel..][..4].copy_from_slice(&bias.to_le_bytes());
            if i % 2 == 1 {
                self.tensors[w].scales[channel] = 5e-8;
            }
        }
    }

    /// The bytes of the file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut b = FlatBufferBuilder::new();
        let b = &mut b;
        // Buffer 0 is empty by convention; tensor `i` has buffer `i + 1`.
        let datas = std::iter::once(&[][..]).chain(self.tensors.iter().map(|t| &t.data[..]));
        let buffers: Vec<Table> = datas.map(|data| buffer(b, data)).collect();
        let buffers = b.create_vector(&buffers);
        let mut tensors: Vec<Table> = (0u32..)
            .zip(&self.tensors)
            .map(|(i, t)| tensor(b, t, i + 1))
            .collect();
        tensors.resize(tensors.len() + self.n_last - 1, tensors[tensors.len() - 1]);
        let tensors = b.create_vector(&tensors);
        let operators: Vec<Table> = (0u32..)
            .zip(&self.operators)
            .map(|(i, o)| operator(b, o, i))
            .collect();
        let operators = b.create_vector(&operators);
        let inputs = b.create_vector(&[0i32]);
        let outputs = b.create_vector(&[self.tensors.len() as i32 - 1]);
        let start = b.start_table();
        b.push_slot_always(slot(0), tensors);
        b.push_slot_always(slot(1), inputs);
        b.push_slot_always(slot(2), outputs);
        b.push_slot_always(slot(3), operators);
        let graph = b.end_table(start);
        let graphs = b.create_vector(&[graph]);
        let codes: Vec<Table> = self.operators.iter().map(|o| code(b, o.code)).collect();
        let codes = b.create_vector(&codes);
        let start = b.start_table();
        b.push_slot_always(slot(0), 3u32);
        b.push_slot_always(slot(1), codes);
        b.push_slot_always(slot(2), graphs);
        b.push_slot_always(slot(4), buffers);
        let model = b.end_table(start);
        b.finish(model, Some("TFL3"));
        b.finished_data().to_vec()
    }
}

fn slot(field: u16) -> u16 {
    4 + 2 * field
}

fn buffer(b: &mut FlatBufferBuilder<'_>, data: &[u8]) -> Table {
    let data = (!data.is_empty()).then(|| b.create_vector(data));
    let start = b.start_table();
    if let Some(data) = data {
        b.push_slot_always(slot(0), data);
    }
    b.end_table(start)
}

fn tensor(b: &mut FlatBufferBuilder<'_>, t: &Tensor, buffer: u32) -> Table {
    let scales = b.create_vector(&t.scales);
    let zero_points = b.create_vector(&vec![t.zero_point; t.scales.len()]);
    let start = b.start_table();
    b.push_slot_always(slot(2), scales);
    b.push_slot_always(slot(3), zero_points);
    b.push_slot_always(slot(6), t.axis);
    let quantization = b.end_table(start);
    let name = b.create_string(&t.name);
    let shape = b.create_vector(&t.shape);
    let signature = b.create_vector(&t.signature);
    let start = b.start_table();
    b.push_slot_always(slot(0), shape);
    b.push_slot_always(slot(1), t.kind);
    b.push_slot_always(slot(2), buffer);
    b.push_slot_always(slot(3), name);
    b.push_slot_always(slot(4), quantization);
    if !t.signature.is_empty() {
        b.push_slot_always(slot(7), signature);
    }
    b.end_table(start)
}

fn operator(b: &mut FlatBufferBuilder<'_>, o: &Operator, index: u32) -> Table {
    let (kind, bytes, words) = &o.options;
    let start = b.start_table();
    for &(field, value) in words {
        b.push_slot_always(slot(field), value);
    }
    for &(field, value) in bytes {
        b.push_slot_always(slot(field), value);
    }
    let options = b.end_table(start);
    let inputs = b.create_vector(&o.inputs);
    let outputs = b.create_vector(&[o.output]);
    let start = b.start_table();
    b.push_slot_always(slot(0), index);
    b.push_slot_always(slot(1), inputs);
    b.push_slot_always(slot(2), outputs);
    b.push_slot_always(slot(3), *kind);
    b.push_slot_always(slot(4), options);
    b.end_table(start)
}

fn code(b: &mut FlatBufferBuilder<'_>, code: i32) -> Table {
    let start = b.start_table();
    b.push_slot_always(slot(0), code as i8);
    b.push_slot_always(slot(2), 1i32);
    b.push_slot_always(slot(3), code);
    b.end_table(start)
}
