//! What is claimed of a model: its bytes, its known answers, and models refused by them, before a byte is sent or when
//! they turn out to be untrue.

use crate::desk::{Desk, Parts, WRITE, all, desk, installed, refusal, sent, status, with};
use crate::device::plain_model;
use crate::slots::{
    begin, claiming, key, layout, made_with, policy, release, send, sign, started, trust, updater,
};
use crate::toy;
use aplysia_live::LiveError;
use aplysia_live::update::{Installed, claims, install};
use aplysia_shared::adapt::{Config, state_bytes};
use aplysia_shared::blob::{HEADER_BYTES, field, set_counter};
use aplysia_shared::claims::{N_INPUTS, answers};
use aplysia_shared::protocol::{Origin, TransferRefusal};
use aplysia_shared::quant::Requant;
use aplysia_shared::signature::{Trust, TrustError};
use aplysia_shared::update::{State, UpdateError, Updater};
use aplysia_shared::{Claims, Hooks, LayerHooks, Model, Unfit, Unmet, include_blob, infer_with};
use proptest::prelude::*;

const TINY: &[u8] = include_blob!("blobs/v1-tiny.blob");
const FLAGSHIP: &[u8] = include_blob!("../models/fashion-mnist-m4/model.blob");

/// The inputs by the words of `claims::answers`, and Marsaglia's generator by his.
fn inputs(model: &Model<'_>) -> [Vec<i8>; N_INPUTS] {
    let mut x = u32::from_be_bytes(*b"APLY");
    let noise = |n: u32| n.to_le_bytes().map(|byte| byte as i8).to_vec();
    let runs = |n: u32| vec![if n < 1 << 31 { -128 } else { 127 }; 1 + n as usize / 256 % 8];
    [noise, runs].map(|made_of: fn(u32) -> Vec<i8>| {
        let mut input = Vec::new();
        while input.len() < model.input().len() {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            input.extend(made_of(x));
        }
        input.truncate(model.input().len());
        input
    })
}

/// The digest of the scores for `inputs`, with `hooks` looking on.
fn digest<H: Hooks>(model: &Model<'_>, inputs: &[Vec<i8>], hooks: &mut H) -> u32 {
    let mut scores = vec![0; model.n_classes() * inputs.len()];
    let mut arena = vec![77; model.arena_bytes()];
    for (input, scores) in inputs.iter().zip(scores.chunks_mut(model.n_classes())) {
        infer_with(model, &mut arena, input, scores, hooks).unwrap();
    }
    let bytes: Vec<u8> = scores.iter().map(|&score| score as u8).collect();
    crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes)
}

#[test]
fn answers_are_the_scores_of_the_same_inputs_everywhere() {
    let toy = toy::measured(3);
    let wide = plain_model(8, 2, 96, 200);
    for (blob, want) in [
        (TINY, Some(0xc4fb_12a4)),
        (FLAGSHIP, Some(0x0fc9_07d5)),
        (&toy, None),
        (&wide, None),
    ] {
        let model = Model::parse(blob).unwrap();
        let digest = digest(&model, &inputs(&model), &mut ());
        // A change of these makes every model that was claimed before fail its self-test.
        assert_eq!(digest, want.unwrap_or(digest), "{digest:#010x}");
        for held in [0, -1, 90] {
            let mut arena = vec![held; model.arena_bytes() + 64];
            assert_eq!(answers(&model, &mut arena), Ok(digest));
        }
        let short = &mut vec![0; model.arena_bytes() - 1];
        assert!(answers(&model, short).is_err());
    }
}

/// A processor that requantizes one channel of a layer to half of what it should be.
struct Fault {
    layer: usize,
    shift: Vec<u8>,
    bias: Vec<u8>,
    multiplier: Vec<u8>,
}

impl Hooks for Fault {
    fn layer(&mut self, layer: usize, _arena: &[i8]) -> LayerHooks<'_> {
        let requant = (layer == self.layer).then_some(Requant {
            bias: &self.bias,
            multiplier: &self.multiplier,
            shift: &self.shift,
        });
        LayerHooks {
            requant,
            weights: None,
        }
    }
}

#[test]
fn answers_tell_of_any_channel_that_is_computed_wrongly_but_few() {
    let model = Model::parse(FLAGSHIP).unwrap();
    let inputs = inputs(&model);
    let sound = digest(&model, &inputs, &mut ());
    let (mut n_channels, mut n_missed) = (0, 0);
    for layer in 0..model.n_layers() {
        let Some(constants) = model.constants(layer) else {
            continue;
        };
        let right = constants.requant;
        for channel in 0..right.shift.len() {
            let mut fault = Fault {
                layer,
                shift: right.shift.to_vec(),
                bias: right.bias.to_vec(),
                multiplier: right.multiplier.to_vec(),
            };
            fault.shift[channel] = fault.shift[channel].wrapping_sub(1);
            n_channels += 1;
            n_missed += u32::from(digest(&model, &inputs, &mut fault) == sound);
        }
    }
    // As firmware/README.md says.
    assert_eq!((n_missed, n_channels), (8, 658));
}

fn any_claims() -> impl Strategy<Value = Claims> {
    let shape = any::<[u16; 3]>();
    (shape, any::<u16>(), any::<u32>(), any::<u32>()).prop_map(
        |(input, outputs, features, answers)| Claims {
            input,
            outputs,
            features,
            answers,
        },
    )
}

proptest! {
    #[test]
    fn claims_are_read_as_written(
        claims in any_claims(),
        bit in 0..8 * Claims::BYTES,
        tail in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let with = |bytes: &[u8]| Claims::behind(&[TINY, bytes, &tail].concat());
        let mut bytes = claims.encode();
        prop_assert_eq!(with(&bytes), Some(claims));
        prop_assert_eq!(Claims::behind(&[TINY, &bytes[..31]].concat()), None);
        bytes[bit / 8] ^= 1 << (bit % 8);
        match bit / 8 {
            8..24 => prop_assert!(with(&bytes).is_some_and(|other| other != claims)),
            _ => prop_assert_eq!(with(&bytes), None),
        }
    }
}

#[test]
fn claims_are_the_bytes_of_the_format() {
    let model = Model::parse(TINY).unwrap();
    let bytes = claims(&model).unwrap().encode();
    let format = include_str!("../shared/FORMAT.md");
    let hex = |bytes: &[u8]| {
        let bytes = bytes.iter().map(|byte| format!("{byte:02x}"));
        bytes.collect::<Vec<_>>().join(" ")
    };
    for line in bytes.chunks(16).map(hex) {
        assert!(format.contains(&line), "no `{line}` in FORMAT.md");
    }
}

/// A device whose program has no key.
fn keyless(built_in: &[u8]) -> Desk {
    Desk {
        trust: Trust::Anyone,
        ..desk(built_in)
    }
}

#[test]
fn what_a_device_cannot_serve_is_refused_before_a_byte_is_sent() {
    let old = release(3, 1);
    let (keyless, mut parts) = (keyless(&old), Parts::blank());
    let mut told = |desk: &Desk, lie: &dyn Fn(&mut Claims)| {
        let blob = claiming(&release(4, 2), lie);
        let begun = with(desk, &mut parts, |device| begin(device, &blob));
        assert_eq!(parts.slots.steps, 0);
        begun.unwrap().map(drop)
    };
    let images = Unmet::Input {
        got: [28, 28, 1],
        want: [toy::SIDE, toy::SIDE, 2],
    };
    let other = |claims: &mut Claims| claims.input = [28, 28, 1];
    assert_eq!(refusal(told(&keyless, &other)), images.into());
    // Whoever has no model takes images of any shape, and more or fewer classes are always taken.
    let mut blank = keyless.clone();
    blank.built_in.clear();
    assert!(told(&blank, &other).is_ok());
    assert!(told(&keyless, &|claims| claims.outputs = 640).is_ok());
    let classes = Unfit::Classes { got: 641, max: 640 };
    let many = refusal(told(&keyless, &|claims| claims.outputs = 641));
    assert_eq!(many, classes.into());
    let wide = refusal(told(&keyless, &|claims| claims.features = 16_385));
    let (got, max) = (16_385, 16_384);
    assert_eq!(wide, Unfit::Features { got, max }.into());
    let state = refusal(told(&keyless, &|claims| claims.features = 4033));
    let (need_bytes, have_bytes) = (64 + 4033, 4096);
    let unfit = Unfit::State {
        need_bytes,
        have_bytes,
    };
    assert_eq!(state, unfit.into());
    assert!(told(&keyless, &|claims| claims.features = 4032).is_ok());
    // As the model itself is measured once it is there.
    let model = Model::parse(&old).unwrap();
    let need = state_bytes(&model, &Config::NOTHING).unwrap();
    assert_eq!(need, 64 + claims(&model).unwrap().features as usize);
    // A key covers the claims.
    let signed = refusal(told(&desk(&old), &|claims| claims.answers ^= 1));
    assert_eq!(signed, TransferRefusal::Signature);
}

/// What a sent model is refused for that is not what is claimed of it; the old one goes on, and starts again.
fn refused_when_whole(desk: &Desk, blob: &[u8]) -> TransferRefusal {
    let mut parts = Parts::<WRITE>::blank();
    let old = Model::parse(&desk.built_in).unwrap();
    let told = with(desk, &mut parts, |device| {
        let told = install(device, blob, &mut all);
        let pixels = vec![100; old.input().len()];
        let image: Vec<i8> = pixels.iter().map(|pixel| (pixel ^ 0x80) as i8).collect();
        let scores = device.infer(&pixels, false).unwrap().scores;
        assert_eq!(scores, toy::base_scores(&old, &image));
        told
    });
    assert!(parts.slots.steps > 0, "it was sent");
    let after = status(desk, &mut parts);
    assert_eq!(
        (after.origin, after.state, after.reverted),
        (Origin::BuiltIn, State::Confirmed, false)
    );
    // What is in the slot is no obstacle.
    sent(installed(desk, &mut parts, &release(5, 7)).unwrap());
    match told.unwrap() {
        Err(LiveError::Device(error)) => refusal::<()>(Err(error)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_model_that_is_not_what_is_claimed_of_it_is_not_tried() {
    let old = release(3, 1);
    let keyless = keyless(&old);
    let new = release(4, 2);
    let want = claims(&Model::parse(&new).unwrap()).unwrap().answers;
    for lie in [
        |claims: &mut Claims| claims.outputs += 1,
        |claims: &mut Claims| claims.features += 1,
    ] {
        let lying = claiming(&new, lie);
        let told = refused_when_whole(&keyless, &lying);
        assert_eq!(told, Unmet::Model.into());
    }
    let wrong = |claims: &mut Claims| claims.answers ^= 4;
    let told = Unmet::Answers {
        got: want,
        want: want ^ 4,
    };
    let mut lying = claiming(&new, wrong);
    assert_eq!(refused_when_whole(&keyless, &lying), told.into());
    // A key makes no lie true.
    sign(&mut lying, &key(1));
    assert_eq!(refused_when_whole(&desk(&old), &lying), told.into());
    // Images that it does not take.
    let mut other = plain_model(4, 2, 8, 5);
    set_counter(&mut other, 2);
    let lying = claiming(&other, |claims| claims.input = [toy::SIDE, toy::SIDE, 2]);
    let input = Unmet::Input {
        got: [28, 28, 1],
        want: [toy::SIDE, toy::SIDE, 2],
    };
    assert_eq!(refused_when_whole(&keyless, &lying), input.into());
    // A header that asks for less arena than its graph.
    let mut small = new.clone();
    small[field::ARENA_BYTES..][..4].copy_from_slice(&100_u32.to_le_bytes());
    set_counter(&mut small, 2);
    sign(&mut small, &key(1));
    let mut parts = Parts::blank();
    let told = with(&desk(&old), &mut parts, |device| {
        begin(device, &small).unwrap();
        crate::desk::write_all(device, &small);
        refusal(device.activate())
    });
    assert_eq!(told.unwrap(), TransferRefusal::Unsound);
}

#[test]
fn claims_that_are_missing_or_damaged_are_asked_for_again() {
    let (old, new) = (release(3, 1), release(4, 2));
    let at = layout().slots[1].start as usize + new.len() - Claims::BYTES;
    for (byte, told) in [
        (0, UpdateError::Unclaimed),
        (20, UpdateError::Trust(TrustError::Wrong)),
    ] {
        let mut updater = updater(made_with::<8>(&old));
        send(&mut updater, &new).unwrap();
        let mut flash = updater.release();
        flash.cells[at + byte] ^= 1;
        let mut updater = crate::slots::updater(flash);
        assert_eq!(updater.activate(&mut [0; 4096]), Err(told));
        assert_eq!(send(&mut updater, &new), Ok(1));
        assert_eq!(updater.activate(&mut [0; 4096]), Ok(()));
    }
    assert_eq!(
        TransferRefusal::from(UpdateError::<()>::Unclaimed),
        TransferRefusal::Damaged
    );
}

/// Models that were confirmed before there were claims start as before; no transfer takes them.
#[test]
fn a_model_signed_before_there_were_claims_starts_and_is_not_sent() {
    let bare = |seed, counter| {
        let mut blob = release(seed, counter);
        blob.truncate(blob.len() - Claims::BYTES);
        sign(&mut blob, &key(1));
        blob
    };
    let old = bare(3, 1);
    let mut updater =
        Updater::open(made_with::<8>(&old), layout(), policy(trust(&key(1)))).unwrap();
    let (boot, found) = started(&mut updater);
    assert_eq!((boot.slot, &found[..old.len()]), (Ok(0), &old[..]));
    let (desk, mut parts) = (desk(&old), Parts::blank());
    let told = match installed(&desk, &mut parts, &bare(4, 2)) {
        Err(LiveError::Device(error)) => refusal::<()>(Err(error)),
        other => panic!("{other:?}"),
    };
    assert_eq!(told, TransferRefusal::Signature);
    assert!(
        told.to_string()
            .contains("again if an older version signed it")
    );
    assert_eq!(parts.slots.steps, 0);
    let new = release(4, 2);
    assert!(new.len() > HEADER_BYTES);
    assert!(matches!(
        installed(&desk, &mut parts, &new).unwrap(),
        Installed::Confirmed { .. }
    ));
}
