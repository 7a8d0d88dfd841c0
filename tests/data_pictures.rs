//! Pictures in files that are decoded when they are read: crops, batches, trainings, what a damaged one says.

use crate::damage::put;
use crate::data_folders::{jpeg, largest_difference, picture};
use crate::program::aplysia_binary;
use aplysia_data::augmentation::CropWindow;
use aplysia_data::{Dataset, ImageShape, Normalization, Part, Pixels, Source, Splits};
use aplysia_learn::{Augment, Device, Images, Job, TrainConfig, Trained, evaluate, train};
use aplysia_space::{Design, Network, Shape};
use jpeg_encoder::ColorType;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

const SIDE: usize = 8;
const SHAPE: Shape = Shape {
    h: SIDE,
    w: SIDE,
    c: 3,
};
const IMAGE: ImageShape = ImageShape {
    h: SIDE,
    w: SIDE,
    c: 3,
};
const GENOTYPE: &str = "[stem]\nchannels = 4\nkernel = 3\nstride = 2\nrule = \"usf\"\n\
                        [head]\nrule = \"bp\"\n\
                        [[block]]\nop = \"conv\"\nkernel = 3\nstride = 2\nchannels = 8\nresidual = false\n\
                        pool = \"none\"\nrules = [\"usf\"]\n";

/// Two classes of pictures of several sizes, one rising to the right and the other falling: 18 of each to train on
/// and 3 to test.
fn put_folder(dir: &Path) {
    for (part, n) in [("train", 18), ("val", 3)] {
        for i in 0..n {
            let (w, h) = (12 + i, 30 - i);
            let right = |x: usize, y: usize, c: usize| (5 * x + y + 20 * c + i) as u8;
            let left = |x: usize, y: usize, c: usize| right(w - 1 - x, y, c);
            let size = (w as u16, h as u16);
            for (class, pixels) in [("a", picture(w, h, right)), ("b", picture(w, h, left))] {
                let bytes = jpeg(&pixels, size, ColorType::Rgb, i % 2 == 1);
                put(dir, &format!("{part}/{class}/{i:02}.JPEG"), &bytes);
            }
        }
    }
}

fn load(dir: &Path, part: Part) -> Dataset {
    let source = Source::ImageFolder { side: SIDE as u32 };
    source.load(dir, part).unwrap()
}

fn images<'a>(pixels: Pixels<'a>, set: &'a Dataset) -> Images<'a> {
    Images {
        pixels,
        labels: &set.labels,
        shape: SHAPE,
        mean_pixel: &[100; 3],
        std: 0.25,
    }
}

fn network() -> Network {
    let design = Design::from_toml(GENOTYPE).unwrap();
    design.lower(SHAPE, 2).unwrap()
}

fn fit(
    train_on: Images<'_>,
    valid: Images<'_>,
    augment: Augment,
) -> Result<Trained, aplysia_learn::LearnError> {
    let config = TrainConfig {
        epochs: 2,
        batch: 5,
        augment,
        ..TrainConfig::default()
    };
    let job = Job {
        network: &network(),
        train: train_on,
        valid: Some(valid),
        config: &config,
        device: Device::Cpu,
        checkpoint: None,
    };
    train(&job, &mut |_| ControlFlow::Continue(()))
}

#[test]
fn a_crop_is_cut_from_the_picture_as_it_was_taken() {
    let dir = tempfile::tempdir().unwrap();
    let ramp = picture(64, 40, |x, y, c| (2 * x + 2 * y + 10 * c) as u8);
    let bytes = jpeg(&ramp, (64, 40), ColorType::Rgb, false);
    put(dir.path(), "train/a/a.jpg", &bytes);
    let set = load(dir.path(), Part::Train);
    let (top, left) = (8, 30);
    let window = |h, w| CropWindow { top, left, h, w };
    for (h, w) in [(16, 24), (6, 5)] {
        let mut seen = None;
        let crop = |size| {
            seen = Some(size);
            Some(window(h, w))
        };
        let got = set.pixels().image(0, IMAGE, crop).unwrap();
        assert_eq!(seen, Some(ImageShape { h: 40, w: 64, c: 3 }));
        // A ramp stays a ramp between the centres of the window's border pixels and beyond.
        let want = picture(SIDE, SIDE, |x, y, c| {
            let at = |i: usize, first: usize, n: usize| {
                first as f64 + (i as f64 + 0.5) * n as f64 / SIDE as f64 - 0.5
            };
            (2.0 * at(x, left, w) + 2.0 * at(y, top, h) + 10.0 * c as f64).round() as u8
        });
        assert!(largest_difference(&got, &want) <= 2, "{h}×{w}");
    }
    let whole = set.pixels().image(0, IMAGE, |_| None).unwrap();
    assert_eq!(&whole[..], set.bytes().unwrap());
}

#[test]
fn subsets_and_splits_of_files_are_those_of_the_same_images_in_memory() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    dirs.iter().for_each(|dir| put_folder(dir.path()));
    let [set, elsewhere] = dirs.each_ref().map(|dir| load(dir.path(), Part::Train));
    assert_eq!(set.digest, elsewhere.digest);
    let names = set.class_names.clone();
    let bytes = set.bytes().unwrap().to_vec();
    let memory = Dataset::new(bytes, set.labels.clone(), set.shape, names).unwrap();
    let same = |files: &Dataset, memory: &Dataset| {
        assert!(matches!(files.pixels(), Pixels::Files(_)));
        assert_eq!(files.bytes().unwrap(), memory.bytes().unwrap());
        assert_eq!(files.labels, memory.labels);
    };
    let [a, b] = [&set, &memory].map(|set| Splits::new(set, 3));
    same(&a.train, &b.train);
    same(&a.validation, &b.validation);
    same(&a.whole().unwrap(), &b.whole().unwrap());
    same(&set.subset(7, 2), &memory.subset(7, 2));
    assert_ne!(a.train.digest, a.validation.digest);
    // Fewer than are sampled: all of them are measured.
    let measured = Normalization::measure(&set).unwrap();
    assert_eq!(measured, Normalization::measure(&memory).unwrap());
    put(dirs[1].path(), "train/a/00.JPEG", b"another length");
    assert_ne!(load(dirs[1].path(), Part::Train).digest, set.digest);
}

#[test]
fn a_training_on_files_is_that_on_the_same_images_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    put_folder(dir.path());
    let [set, test] = [Part::Train, Part::Test].map(|part| load(dir.path(), part));
    let in_memory = |set: &'_ Dataset| set.bytes().unwrap().to_vec();
    let [bytes, test_bytes] = [in_memory(&set), in_memory(&test)];
    let valid = images(test.pixels(), &test);
    let streamed = fit(images(set.pixels(), &set), valid, Augment::default()).unwrap();
    let (known, known_test) = ((&bytes).into(), (&test_bytes).into());
    let valid = images(known_test, &test);
    let whole = fit(images(known, &set), valid, Augment::default()).unwrap();
    assert_eq!(streamed, whole);
    let answers = |pixels| {
        let images = images(pixels, &test);
        evaluate(&network(), &whole.params, images, Device::Cpu).unwrap()
    };
    assert_eq!(answers(test.pixels()), answers(known_test));
}

/// Crops and colours, too, whatever the number of threads.
#[test]
fn batches_of_files_follow_seed_and_step_alone() {
    let dir = tempfile::tempdir().unwrap();
    put_folder(dir.path());
    let set = load(dir.path(), Part::Train);
    let augment = Augment {
        resized_crop: 0.2,
        jitter: [0.4, 0.4, 0.4, 0.2],
        ..Augment::default()
    };
    let batch = |threads, step| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let make = || augment.batch(&images(set.pixels(), &set), &[3, 30, 9, 3], (1, step));
        pool.build().unwrap().install(make).unwrap()
    };
    let one = batch(1, 5);
    assert_eq!(one, batch(3, 5));
    assert_ne!(one, batch(3, 6));
    // The same picture twice is changed in two ways.
    let n = SHAPE.len();
    assert_ne!(one[..n], one[3 * n..]);
}

#[test]
fn a_damaged_picture_ends_training_and_evaluation_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    put_folder(dir.path());
    let [set, test] = [Part::Train, Part::Test].map(|part| load(dir.path(), part));
    let path = dir.path().join("train/b/07.JPEG");
    let good = fs::read(&path).unwrap();
    let params = {
        let all = images(set.pixels(), &set);
        fit(all, images(test.pixels(), &test), Augment::NONE)
            .unwrap()
            .params
    };
    for bad in [
        &good[..good.len() / 2],
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"",
    ] {
        fs::write(&path, bad).unwrap();
        let all = images(set.pixels(), &set);
        let trained = fit(all, images(test.pixels(), &test), Augment::NONE);
        let evaluated = evaluate(&network(), &params, all, Device::Cpu);
        for text in [
            trained.unwrap_err().to_string(),
            evaluated.unwrap_err().to_string(),
            Normalization::measure(&set).unwrap_err().to_string(),
        ] {
            for word in [
                "b/07.JPEG",
                "cannot be decoded",
                "convert PNG",
                "--data DIR",
            ] {
                assert!(text.contains(word), "`{word}` is missing in: {text}");
            }
        }
    }
    fs::remove_file(&path).unwrap();
    let error = set.bytes().unwrap_err().to_string();
    assert!(error.contains("07.JPEG cannot be read"), "{error}");
}

/// What `aplysia` says.
fn aplysia(line: &str, paths: &[&Path]) -> (bool, String) {
    let mut paths = paths.iter();
    let words = line.split_whitespace().map(|word| match word {
        "PATH" => paths.next().unwrap().display().to_string(),
        word => word.to_string(),
    });
    let output = Command::new(aplysia_binary()).args(words).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into(),
    )
}

#[test]
fn a_folder_is_trained_on_evaluated_and_exported_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures");
    put_folder(&pictures);
    let [genotype, run, model] = ["genotype.toml", "run", "model"].map(|n| dir.path().join(n));
    fs::write(&genotype, GENOTYPE).unwrap();
    let data = "--dataset image-folder:8 --data PATH";
    let train =
        format!("train PATH --out PATH {data} --images 20 --epochs 2 --batch 5 --resized-crop 0.3");
    let (done, text) = aplysia(&train, &[&genotype, &run, &pictures]);
    assert!(done && text.contains("weights trained by: "), "{text}");
    let (done, text) = aplysia(&format!("evaluate PATH {data}"), &[&run, &pictures]);
    assert!(done && text.contains("of 6 test images"), "{text}");
    let export = format!("export PATH --out PATH {data} --calibration 8 --golden 4");
    let (done, text) = aplysia(&export, &[&run, &model, &pictures]);
    assert!(done, "{text}");
    fs::write(pictures.join("val/a/01.JPEG"), b"no picture").unwrap();
    let (done, text) = aplysia(&format!("evaluate PATH {data}"), &[&run, &pictures]);
    assert!(!done && text.contains("a/01.JPEG"), "{text}");
}
