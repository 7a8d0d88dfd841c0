//! Frames: what is sent arrives, and no stream of bytes hurts the decoder.

use aplysia_shared::protocol::{CRC_BYTES, Decoder, FrameError, Request, decode, send};
use proptest::prelude::*;

const N: usize = 600;

/// The frame of `payload`, as it goes over the line.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    send(payload, &mut [0; 2048], |bytes| {
        line.extend_from_slice(bytes)
    })
    .expect("message fits");
    line
}

/// Everything `decoder` says about `line`.
fn receive(decoder: &mut Decoder<N>, line: &[u8]) -> Vec<Result<Vec<u8>, FrameError>> {
    let payload = |message: &[u8]| decode::<&[u8]>(message).expect("what was sent").to_vec();
    line.iter()
        .filter_map(|&byte| Some(decoder.push(byte)?.map(payload)))
        .collect()
}

/// Payloads around the block length of COBS, with many zeros and with none.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0u8), Just(0xff), any::<u8>()];
    prop_oneof![
        prop::collection::vec(byte, 0..N - CRC_BYTES - 2),
        prop::collection::vec(1u8..=255, 240..520),
    ]
}

proptest! {
    #[test]
    fn what_is_sent_arrives(payloads in prop::collection::vec(payload(), 1..4)) {
        let mut decoder = Decoder::new();
        for payload in &payloads {
            let line = frame(payload);
            prop_assert_eq!(line.iter().filter(|&&byte| byte == 0).count(), 1);
            prop_assert!(line.len() <= payload.len() + 2 + CRC_BYTES + line.len() / 254 + 3);
            prop_assert_eq!(receive(&mut decoder, &line), vec![Ok(payload.clone())]);
        }
    }

    #[test]
    fn any_bytes_leave_the_decoder_in_step(noise in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut decoder = Decoder::new();
        let delimiters = noise.iter().filter(|&&byte| byte == 0).count();
        prop_assert!(receive(&mut decoder, &noise).len() <= delimiters);
        receive(&mut decoder, &[0]);
        prop_assert_eq!(receive(&mut decoder, &frame(b"after")), vec![Ok(b"after".to_vec())]);
    }

    #[test]
    fn a_changed_byte_is_noticed(payload in payload(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut line = frame(&payload);
        let at = at.index(line.len());
        line[at] ^= flip;
        line.push(0);
        let answers = receive(&mut Decoder::new(), &line);
        prop_assert!(!answers.is_empty() && answers.iter().all(Result::is_err), "{:?}", answers);
    }

    /// But for a byte that says nothing: behind a full last block the code of an empty one.
    #[test]
    fn a_cut_frame_is_one_error(payload in payload(), keep in any::<prop::sample::Index>()) {
        let mut line = frame(&payload);
        line.truncate(1 + keep.index(line.len() - 2));
        line.push(0);
        let mut decoder = Decoder::new();
        let answers = receive(&mut decoder, &line);
        let whole = |answer: &Result<_, _>| answer.as_ref().is_ok_and(|got| *got == payload);
        prop_assert!(answers.len() == 1, "{:?}", answers);
        prop_assert!(answers[0].is_err() || whole(&answers[0]), "{:?}", answers);
        prop_assert_eq!(receive(&mut decoder, &frame(b"after")), vec![Ok(b"after".to_vec())]);
    }
}

#[test]
fn a_frame_longer_than_the_buffer_is_one_error() {
    let mut decoder = Decoder::new();
    let fits = vec![7; N - CRC_BYTES - 2];
    assert_eq!(receive(&mut decoder, &frame(&fits)), [Ok(fits.clone())]);
    let too_long = vec![7; fits.len() + 1];
    let error = FrameError::TooLarge {
        limit_bytes: N as u32,
    };
    assert_eq!(receive(&mut decoder, &frame(&too_long)), [Err(error)]);
    assert_eq!(receive(&mut decoder, &frame(&fits)), [Ok(fits.clone())]);
}

#[test]
fn known_frame() {
    // `Request::Hello` is the byte 0, whose CRC-32 is 0xd202ef8d.
    let mut line = Vec::new();
    send(&Request::Hello, &mut [0; 8], |bytes| {
        line.extend_from_slice(bytes)
    })
    .expect("fits");
    assert_eq!(line, [1, 5, 0x8d, 0xef, 0x02, 0xd2, 0]);
}
