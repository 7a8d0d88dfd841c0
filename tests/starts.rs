//! Starts that come to nothing: after three in a row what was learned is left aside, and tried again later.

use crate::adaptation::{IMAGE_BYTES, Labelled};
use crate::device_image::Unwatched;
use crate::guard::{DELTA, guarded};
use crate::program::firmware;
use aplysia_live::device::Device;
use aplysia_shared::adapt::guard::{Commit, Limits};
use aplysia_shared::blob::GoldenKind;
use aplysia_shared::protocol::{Boot, MAX_FAILED_STARTS};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

const CARELESS: Limits = Limits {
    every: 4,
    drop: u16::MAX,
    commit_every: 0,
};

/// The emulator's control socket.
struct Control(BufReader<UnixStream>);

impl Control {
    fn ask(&mut self, command: &str, until: &str) {
        let request = format!("{{\"execute\": \"{command}\"}}\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        while !line.contains(until) {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "no {until}");
        }
    }

    /// A reset as a watchdog makes it: RAM stays.
    fn reset(&mut self, device: Device<Unwatched>) -> Device<Unwatched> {
        self.ask("system_reset", "\"RESET\"");
        Device::connect(device.release()).unwrap().0
    }
}

#[test]
fn what_was_learned_is_left_aside_after_three_starts_that_came_to_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("qmp");
    let qmp = format!("unix:{},server=on,wait=off", socket.display());
    let blob = guarded(GoldenKind::Inputs, DELTA);
    // Its flash, which a reset leaves as it is, is a file.
    let flash = folder.path().join("flash");
    std::fs::write(&flash, []).unwrap();
    let semihosting = format!("enable=on,target=native,arg=flash,arg={}", flash.display());
    let more = ["-qmp", &qmp, "-semihosting-config", &semihosting];
    let mut device = Unwatched::start_with(&firmware(), Some(&blob), &more);
    let mut control = Control(BufReader::new(UnixStream::connect(&socket).unwrap()));
    control.ask("qmp_capabilities", "return");
    let base = device.snapshot().unwrap();
    device.configure(DELTA, 1).unwrap();
    device.guard(Some(CARELESS)).unwrap();
    let stream = Labelled::new(9, 1);
    let images: Vec<&[u8]> = stream.pixels.chunks(IMAGE_BYTES).collect();
    for (pixels, &label) in images.iter().zip(&stream.labels) {
        device.infer(pixels, true).unwrap();
        device.learn(label as u8).unwrap();
    }
    assert!(matches!(device.commit().unwrap(), Commit::Done(_)));
    let learned = device.snapshot().unwrap();
    assert_ne!(learned, base);
    let sequence = 1;
    for _ in 0..2 {
        // It answers, but classifies nothing: that alone does not tell that it can.
        for _ in 0..MAX_FAILED_STARTS {
            device = control.reset(device);
            let guard = device.stats().unwrap().guard;
            assert_eq!(guard.boot, Boot::Restored { sequence });
            assert_eq!(device.snapshot().unwrap(), learned);
        }
        for _ in 0..2 {
            device = control.reset(device);
            let guard = device.stats().unwrap().guard;
            assert_eq!(guard.boot, Boot::SetAside { sequence });
            // Nothing is in place, and nothing learns; the commit is there.
            assert_eq!(guard.limits, None);
            assert_eq!(guard.newest.map(|record| record.sequence), Some(1));
            assert_eq!(device.snapshot().unwrap(), base);
        }
        // An image ends the count, and the next start tries what was learned again.
        device.infer(images[0], false).unwrap();
    }
    for _ in 0..=MAX_FAILED_STARTS {
        device = control.reset(device);
        let guard = device.stats().unwrap().guard;
        assert_eq!(guard.boot, Boot::Restored { sequence });
        device.infer(images[0], false).unwrap();
    }
}
