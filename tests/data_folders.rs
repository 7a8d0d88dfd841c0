//! Data: folders of JPEG pictures written here, datasets by name, padding, shared normalization.

use crate::damage::{check_errors, put};
use aplysia_data::image_folder::{self, TinySpec};
use aplysia_data::{DataError, Dataset, FormatFault, ImageShape, Normalization, Part, Source};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use std::fs;
use std::path::Path;

/// A picture, `[h, w, 3]`, of a function of (x, y, channel).
pub(crate) fn picture(w: usize, h: usize, f: impl Fn(usize, usize, usize) -> u8) -> Vec<u8> {
    let pixel = |i: usize| f(i / 3 % w, i / 3 / w, i % 3);
    (0..w * h * 3).map(pixel).collect()
}

/// A smooth picture of 16×16, another one for every `i`.
fn smooth(i: usize) -> Vec<u8> {
    picture(16, 16, |x, y, c| (30 * c + 5 * x + 3 * y + 10 * i) as u8)
}

pub(crate) fn jpeg(
    pixels: &[u8],
    (w, h): (u16, u16),
    kind: ColorType,
    progressive: bool,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 100);
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    encoder.set_progressive(progressive);
    encoder.encode(pixels, w, h, kind).unwrap();
    bytes
}

fn put_picture(dir: &Path, name: &str, i: usize) {
    put(
        dir,
        name,
        &jpeg(&smooth(i), (16, 16), ColorType::Rgb, i % 2 == 1),
    );
}

/// The largest difference of two pictures.
pub(crate) fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(x, y)| x.abs_diff(*y));
    differences.max().unwrap()
}

/// Image `i` of the set.
fn image(set: &Dataset, i: usize) -> &[u8] {
    set.images().unwrap().nth(i).unwrap()
}

/// Whether image `i` of the set is `smooth(number)`, as far as JPEG keeps it.
fn is_smooth(set: &Dataset, i: usize, number: usize) -> bool {
    largest_difference(image(set, i), &smooth(number)) <= 3
}

/// Tiny-ImageNet in small: 2 classes, 2 + 2 training pictures and 3 validation pictures of 16×16.
fn put_tiny(dir: &Path) -> TinySpec {
    put(dir, "wnids.txt", b"n02\nn01\n");
    put(dir, "words.txt", b"n01\tgoldfish\nn02\tbullfrog\n");
    for (i, name) in [
        "n01/images/n01_0",
        "n01/images/n01_1",
        "n02/images/n02_0",
        "n02/images/n02_1",
    ]
    .into_iter()
    .enumerate()
    {
        put_picture(dir, &format!("train/{name}.JPEG"), i);
    }
    put(
        dir,
        "train/n01/n01_boxes.txt",
        b"n01_0.JPEG\t0\t0\t15\t15\n",
    );
    for i in 0..3 {
        put_picture(dir, &format!("val/images/val_{i}.JPEG"), 4 + i);
    }
    let lines =
        b"val_2.JPEG\tn02\t0\t0\t9\t9\nval_0.JPEG\tn01\t0\t0\t9\t9\nval_1.JPEG\tn02\t1\t1\t9\t9\n";
    put(dir, "val/val_annotations.txt", lines);
    TinySpec {
        n_classes: 2,
        n_train: 4,
        n_test: 3,
        side: 16,
    }
}

#[test]
fn tiny_imagenet_in_its_true_layout_loads() {
    let dir = tempfile::tempdir().unwrap();
    let spec = put_tiny(dir.path());
    let train = image_folder::load_tiny(dir.path(), Part::Train, &spec).unwrap();
    assert_eq!(
        (&train.labels[..], train.shape),
        (&[0, 0, 1, 1][..], ImageShape { h: 16, w: 16, c: 3 })
    );
    assert_eq!(train.class_names, ["n01", "n02"]);
    assert!((0..4).all(|i| is_smooth(&train, i, i)));
    let test = image_folder::load_tiny(dir.path(), Part::Test, &spec).unwrap();
    assert_eq!(test.labels, [1, 0, 1]);
    assert!(
        [(0, 6), (1, 4), (2, 5)]
            .iter()
            .all(|&(i, n)| is_smooth(&test, i, n))
    );
    assert_eq!(test.class_names, train.class_names);
}

#[test]
fn bad_files_of_tiny_imagenet_are_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let spec = put_tiny(dir.path());
    // Whether a picture can be decoded is known when it is read.
    let load = || {
        let set = image_folder::load_tiny(dir.path(), Part::Test, &spec)?;
        set.bytes()?;
        Ok(set)
    };
    let png: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    // A baseline and a progressive one.
    for name in ["val_0.JPEG", "val_1.JPEG"] {
        let path = dir.path().join("val/images").join(name);
        let good = fs::read(&path).unwrap();
        let mut changes = vec![None, Some(png), Some(b"<html>not found</html>")];
        changes.extend(
            (0..good.len())
                .step_by(9)
                .chain(good.len() - 3..good.len())
                .map(|n| Some(&good[..n])),
        );
        let errors = check_errors(
            &path,
            &[name, "JPEG", "tiny-imagenet-200.zip"],
            &changes,
            load,
        );
        let picture = |e: &DataError| {
            matches!(
                e,
                DataError::Format {
                    fault: FormatFault::Picture { .. },
                    ..
                }
            )
        };
        for (n, error) in errors.iter().enumerate().skip(1) {
            assert!(picture(error), "change {n}: {error}");
        }
    }
    let path = dir.path().join("val/images/val_1.JPEG");
    let large = jpeg(&[90; 17 * 16 * 3], (17, 16), ColorType::Rgb, false);
    let errors = check_errors(
        &path,
        &["17×16 pixels, expected 16×16"],
        &[Some(&large)],
        load,
    );
    assert!(matches!(
        errors[0],
        DataError::Format {
            fault: FormatFault::Side { .. },
            ..
        }
    ));

    let path = dir.path().join("val/val_annotations.txt");
    let changes: [Option<&[u8]>; 3] =
        [None, Some(b"val_0.JPEG\tn01\n"), Some(b"val_0.JPEG\tn03\n")];
    let errors = check_errors(
        &path,
        &["val_annotations.txt", "tiny-imagenet-200.zip"],
        &changes,
        load,
    );
    assert!(
        errors[1]
            .to_string()
            .contains("1 validation pictures, expected 3")
    );
    assert!(
        errors[2]
            .to_string()
            .contains("`n03` is not one of the 2 classes")
    );
    let path = dir.path().join("wnids.txt");
    let errors = check_errors(&path, &["wnids.txt"], &[None, Some(b"n01\n")], load);
    assert!(errors[1].to_string().contains("1 classes, expected 2"));
    fs::remove_file(dir.path().join("train/n02/images/n02_1.JPEG")).unwrap();
    let error = image_folder::load_tiny(dir.path(), Part::Train, &spec).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("3 training pictures, expected 4"),
        "{error}"
    );
}

#[test]
fn pictures_of_a_folder_are_cropped_in_the_middle_and_scaled() {
    let dir = tempfile::tempdir().unwrap();
    // Red, green, blue; the middle third is all that a square keeps.
    let stripes = picture(96, 32, |x, _, c| if x / 32 == c { 200 } else { 40 });
    put(
        dir.path(),
        "train/wide/a.jpg",
        &jpeg(&stripes, (96, 32), ColorType::Rgb, false),
    );
    // A ramp stays a ramp: the mean of three pixels is the middle one.
    let ramp = picture(30, 60, |x, y, _| (4 * x + 2 * y) as u8);
    put(
        dir.path(),
        "train/ramp/a.JPEG",
        &jpeg(&ramp, (30, 60), ColorType::Rgb, true),
    );
    let grey: Vec<u8> = (0..100).map(|i| 2 * i).collect();
    put(
        dir.path(),
        "train/ramp/b.jpeg",
        &jpeg(&grey, (10, 10), ColorType::Luma, false),
    );
    put(dir.path(), "train/ramp/notes.txt", b"no picture");
    put(
        dir.path(),
        "val/wide/a.jpg",
        &jpeg(&stripes, (96, 32), ColorType::Rgb, false),
    );

    let set = image_folder::load(dir.path(), Part::Train, 10).unwrap();
    assert_eq!(
        (&set.labels[..], &set.class_names[..]),
        (&[0, 0, 1][..], &["ramp".to_string(), "wide".into()][..])
    );
    let want = picture(10, 10, |x, y, _| (4 * (3 * x + 1) + 2 * (3 * y + 16)) as u8);
    let inside = |image: &[u8]| -> Vec<u8> {
        (1..9)
            .flat_map(|y| image[(y * 10 + 1) * 3..][..8 * 3].to_vec())
            .collect()
    };
    assert!(largest_difference(&inside(image(&set, 0)), &inside(&want)) <= 2);
    assert!(
        largest_difference(
            image(&set, 1),
            &picture(10, 10, |x, y, _| (2 * (10 * y + x)) as u8)
        ) <= 2
    );
    // At its edge the neighbouring stripes shine through, as scaling comes before cropping.
    let green = picture(10, 10, |_, _, c| if c == 1 { 200 } else { 40 });
    assert!(largest_difference(&inside(image(&set, 2)), &inside(&green)) <= 3);

    let folder = Source::ImageFolder { side: 10 };
    let test = folder.load(dir.path(), Part::Test).unwrap();
    assert_eq!(
        (&test.labels[..], image(&test, 0)),
        (&[1][..], image(&set, 2))
    );
    put(dir.path(), "val/narrow/a.jpg", b"");
    let unknown = folder.load(dir.path(), Part::Test).unwrap_err();
    assert!(
        unknown
            .to_string()
            .contains("`narrow` is not one of the 2 classes"),
        "{unknown}"
    );
    for bad in ["nowhere", "train", "val/wide"] {
        let error = folder.load(&dir.path().join(bad), Part::Train).unwrap_err();
        assert!(matches!(error, DataError::Missing { .. }), "{error}");
    }
}

#[test]
fn datasets_have_names() {
    for name in [
        "fashion-mnist",
        "fashion-mnist-32",
        "cifar10",
        "cifar100",
        "imagenet16-120",
        "tiny-imagenet",
        "image-folder:64",
    ] {
        assert_eq!(name.parse::<Source>().unwrap().to_string(), name);
    }
    for name in [
        "",
        "cifar",
        "image-folder:",
        "image-folder:0",
        "image-folder:1025",
    ] {
        let error = name.parse::<Source>().unwrap_err().to_string();
        assert!(error.contains("image-folder:SIDE"), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, part) in [
        ("cifar10", "cifar-10-batches-bin"),
        ("cifar100", "cifar-100-binary"),
        ("imagenet16-120", "train_data_batch_1"),
        ("tiny-imagenet", "wnids.txt"),
    ] {
        let source: Source = name.parse().unwrap();
        assert_eq!(source.locate(Some(dir.path())).unwrap(), dir.path());
        let error = source
            .load(dir.path(), Part::Train)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(part) && error.contains("--data DIR"),
            "{error}"
        );
    }
}

#[test]
fn padding_puts_every_image_in_the_middle() {
    let shape = ImageShape { h: 2, w: 3, c: 2 };
    let images: Vec<u8> = (1..=24).collect();
    let set = Dataset::new(images, vec![1, 0], shape, vec!["a".into(), "b".into()]).unwrap();
    let padded = set.padded(5).unwrap();
    assert_eq!(
        (padded.shape, &padded.labels),
        (ImageShape { h: 5, w: 5, c: 2 }, &set.labels)
    );
    for i in 0..2 {
        for (at, &p) in image(&padded, i).iter().enumerate() {
            let (y, x, c) = (at / 10, at / 2 % 5, at % 2);
            let inside = (1..3).contains(&y) && (1..4).contains(&x);
            let want = if inside {
                image(&set, i)[((y - 1) * 3 + x - 1) * 2 + c]
            } else {
                0
            };
            assert_eq!(p, want, "image {i}, y {y}, x {x}, channel {c}");
        }
    }
    assert_eq!(set.padded(1).unwrap(), set);
}

#[test]
fn a_shared_normalization_is_the_same_in_every_channel() {
    let shape = ImageShape { h: 1, w: 2, c: 3 };
    let images = vec![0, 10, 200, 0, 10, 200];
    let set = Dataset::new(images.clone(), vec![0], shape, vec!["only".into()]).unwrap();
    let shared = Normalization::measure_shared(&set).unwrap();
    assert!(shared.is_shared() && !Normalization::measure(&set).unwrap().is_shared());
    let grey = ImageShape { h: 2, w: 3, c: 1 };
    let grey = Dataset::new(images, vec![0], grey, vec!["only".into()]).unwrap();
    let one = Normalization::measure(&grey).unwrap();
    assert_eq!(one, Normalization::measure_shared(&grey).unwrap());
    assert_eq!(
        (shared.mean_pixel, shared.std),
        (vec![70; 3], vec![one.std[0]; 3])
    );
}
