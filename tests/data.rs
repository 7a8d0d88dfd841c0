//! Data: the IDX loader on small files in the true format, damaged files, splits, corruptions.

use aplysia_data::fashion_mnist::{self, FileSpec};
use aplysia_data::{Corruption, DataError, Dataset, ImageShape, Normalization, Shift, Splits, idx};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;

const SHAPE: ImageShape = ImageShape { h: 28, w: 28, c: 1 };

/// An IDX file: magic, sizes, bytes.
fn idx_bytes(sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|s| bytes.extend(s.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

/// Writes `contents` packed and describes the file as it is.
fn put(dir: &Path, name: &'static str, contents: &[u8]) -> FileSpec {
    let packed = gzip(contents);
    std::fs::write(dir.join(name), &packed).unwrap();
    let sha256 = |bytes: &[u8]| -> &'static str {
        let hex: String = Sha256::digest(bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        hex.leak()
    };
    FileSpec {
        name,
        gz_bytes: packed.len(),
        gz_sha256: sha256(&packed),
        bytes: contents.len(),
        sha256: sha256(contents),
    }
}

/// `n` pictures of blurred noise with labels 0..10 in turn.
fn pictures(n: usize) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let blur = Shift::new(Corruption::Blur, 5, 0).unwrap();
    let images: Vec<u8> = (0..n)
        .flat_map(|i| {
            let noise: Vec<u8> = (0..SHAPE.len()).map(|_| rng.random()).collect();
            let soft = blur.apply(SHAPE, i as u64, &noise);
            soft.into_iter()
                .map(|p| (f64::from(p) * 1.8 - 100.0).clamp(0.0, 255.0) as u8)
        })
        .collect();
    let labels = (0..n).map(|i| (i % 10) as u16).collect();
    let names = (0..10).map(|c| format!("class {c}")).collect();
    Dataset::new(images, labels, SHAPE, names).unwrap()
}

fn label_bytes(set: &Dataset) -> Vec<u8> {
    set.labels.iter().map(|&l| l as u8).collect()
}

/// Writes 20 pictures and their labels in the true format.
fn put_both(dir: &Path, set: &Dataset) -> (FileSpec, FileSpec) {
    let images = idx_bytes(&[20, 28, 28], set.bytes().unwrap());
    let labels = idx_bytes(&[20], &label_bytes(set));
    (
        put(dir, "images.gz", &images),
        put(dir, "labels.gz", &labels),
    )
}

#[test]
fn a_small_dataset_in_the_true_format_loads() {
    let dir = tempfile::tempdir().unwrap();
    let set = pictures(20);
    let (images, labels) = put_both(dir.path(), &set);
    let loaded = fashion_mnist::load_pair(dir.path(), &images, &labels).unwrap();
    assert_eq!(
        (loaded.bytes().unwrap(), &loaded.labels, loaded.shape),
        (set.bytes().unwrap(), &set.labels, SHAPE)
    );
    assert_eq!(loaded.class_names[9], "ankle boot");
    assert_eq!(loaded.digest.len(), 64);
    // Another packing of the same contents is the same dataset.
    let mut gz = flate2::write::GzEncoder::new(vec![], flate2::Compression::none());
    gz.write_all(&idx_bytes(&[20], &label_bytes(&set))).unwrap();
    std::fs::write(dir.path().join("labels.gz"), gz.finish().unwrap()).unwrap();
    assert_eq!(
        fashion_mnist::load_pair(dir.path(), &images, &labels).unwrap(),
        loaded
    );
}

#[test]
fn a_bad_file_is_named_with_what_it_should_be() {
    let dir = tempfile::tempdir().unwrap();
    let set = pictures(20);
    let (images, labels) = put_both(dir.path(), &set);
    let packed = std::fs::read(dir.path().join("images.gz")).unwrap();
    let load_with = |bytes: Option<&[u8]>| {
        let path = dir.path().join("images.gz");
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let error = fashion_mnist::load_pair(dir.path(), &images, &labels).unwrap_err();
        let text = error.to_string();
        for part in [
            "images.gz",
            images.gz_sha256,
            &images.gz_bytes.to_string(),
            "apt-get install dataset-fashion-mnist",
            "--data DIR",
        ] {
            assert!(text.contains(part), "`{part}` is missing in: {text}");
        }
        error
    };
    for n in [
        0,
        1,
        9,
        10,
        18,
        packed.len() / 2,
        packed.len() - 9,
        packed.len() - 1,
    ] {
        let error = load_with(Some(&packed[..n]));
        let caught = matches!(
            error,
            DataError::Unreadable { .. } | DataError::Wrong { .. }
        );
        assert!(caught, "{n} bytes: {error}");
    }
    assert!(matches!(
        load_with(Some(b"<html>not found</html>")),
        DataError::Unreadable { .. }
    ));
    let foreign = gzip(&idx_bytes(&[20, 28, 28], &vec![7; 20 * 784]));
    assert!(matches!(load_with(Some(&foreign)), DataError::Wrong { .. }));
    let long = gzip(&vec![0; 1 << 20]);
    let error = load_with(Some(&long));
    let stopped_early =
        matches!(error, DataError::Wrong { got_bytes, .. } if got_bytes == images.bytes + 1);
    assert!(stopped_early, "{error}");
    assert!(matches!(load_with(None), DataError::Missing { .. }));
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let set = pictures(20);
    let images = put(
        dir.path(),
        "images.gz",
        &idx_bytes(&[20, 28, 28], set.bytes().unwrap()),
    );
    let few = put(
        dir.path(),
        "few.gz",
        &idx_bytes(&[19], &label_bytes(&set)[1..]),
    );
    let beyond = put(dir.path(), "beyond.gz", &idx_bytes(&[20], &[10; 20]));
    let load = |labels| fashion_mnist::load_pair(dir.path(), &images, labels).unwrap_err();
    assert!(matches!(
        load(&few),
        DataError::Count {
            n_images: 20,
            n_labels: 19
        }
    ));
    assert!(matches!(
        load(&beyond),
        DataError::Label {
            index: 0,
            label: 10,
            n_classes: 10
        }
    ));
    assert!(matches!(load(&images), DataError::Idx { .. }));
}

#[test]
fn every_truncation_of_an_idx_file_is_an_error() {
    let bytes = idx_bytes(&[2, 3, 4], &[5; 24]);
    assert_eq!(idx::parse::<3>(&bytes).unwrap(), ([2, 3, 4], &[5; 24][..]));
    for n in 0..bytes.len() {
        assert!(idx::parse::<3>(&bytes[..n]).is_err(), "{n} bytes");
    }
    assert!(idx::parse::<1>(&bytes).is_err());
    let huge = idx_bytes(&[u32::MAX; 3], &[]);
    assert!(idx::parse::<3>(&huge).is_err());
}

#[test]
fn splits_are_disjoint_whole_proportional_and_seeded() {
    let alike = pictures(600);
    // Makes every image unique, so that it can be found again.
    let mut bytes = alike.bytes().unwrap().to_vec();
    for (i, image) in bytes.chunks_exact_mut(784).enumerate() {
        image[..2].copy_from_slice(&(i as u16).to_be_bytes());
    }
    let set = Dataset::new(bytes, alike.labels, SHAPE, alike.class_names).unwrap();
    let names = |d: &Dataset| -> Vec<u16> {
        let images = d.images().unwrap();
        images
            .map(|image| u16::from_be_bytes([image[0], image[1]]))
            .collect()
    };
    let split = |seed| Splits::new(&set, seed);
    let a = split(7);
    assert_eq!((a.train.len(), a.validation.len()), (500, 100));
    let whole = a.whole().unwrap();
    let mut all = names(&whole);
    assert_eq!(
        (&all[..500], &all[500..]),
        (&names(&a.train)[..], &names(&a.validation)[..])
    );
    for (&name, &label) in all.iter().zip(&whole.labels) {
        assert_eq!(label, set.labels[usize::from(name)]);
    }
    all.sort_unstable();
    assert_eq!(all, (0..600).collect::<Vec<u16>>());
    for class in 0..10 {
        assert_eq!(
            a.validation.labels.iter().filter(|&&l| l == class).count(),
            10
        );
    }
    assert_eq!(names(&split(7).validation), names(&a.validation));
    assert_ne!(names(&split(8).validation), names(&a.validation));
    let (small, large) = (set.subset(50, 3), set.subset(120, 3));
    assert_eq!(names(&small), names(&large)[..50]);
    assert_eq!(small.labels.iter().filter(|&&l| l == 4).count(), 5);
    assert_eq!(set.subset(10_000, 3).len(), 600);
    assert_ne!(small.digest, large.digest);
}

#[test]
fn normalization_by_hand() {
    let images = vec![0, 10, 255, 10, 0, 10, 255, 10];
    let shape = ImageShape { h: 1, w: 2, c: 2 };
    let set = Dataset::new(images, vec![0, 0], shape, vec!["only".into()]).unwrap();
    let n = Normalization::measure(&set).unwrap();
    assert_eq!(n.mean_pixel, [128, 10]);
    // Channel 0 is 0 or 1 by halves; channel 1 never varies.
    assert_eq!(n.std, [0.5, 1.0 / 255.0]);
}

/// Mean absolute change in grey levels over a dataset.
fn distance(a: &Dataset, b: &Dataset) -> f64 {
    let [a, b] = [a, b].map(|set| set.bytes().unwrap());
    let sum: u64 = a
        .iter()
        .zip(b)
        .map(|(x, y)| u64::from(x.abs_diff(*y)))
        .sum();
    sum as f64 / a.len() as f64
}

#[test]
fn corruptions_are_deterministic_and_grow_with_severity() {
    let set = pictures(40);
    for corruption in Corruption::ALL {
        assert_eq!(corruption.name().parse::<Corruption>().unwrap(), corruption);
        let shifted = |severity, seed| {
            let shift = Shift::new(corruption, severity, seed).unwrap();
            set.shifted(&shift).unwrap()
        };
        assert_eq!(shifted(3, 1), shifted(3, 1), "{corruption}");
        let distances: Vec<f64> = (1..=5).map(|s| distance(&set, &shifted(s, 1))).collect();
        assert!(distances[0] > 0.3, "{corruption}: {distances:?}");
        assert!(
            distances.is_sorted_by(|a, b| a < b),
            "{corruption}: {distances:?}"
        );
    }
    assert!(Shift::new(Corruption::Blur, 0, 0).is_err());
    assert!(Shift::new(Corruption::Blur, 6, 0).is_err());
    assert!(
        "fog"
            .parse::<Corruption>()
            .unwrap_err()
            .to_string()
            .contains("dead-columns")
    );
}

#[test]
fn a_camera_is_the_same_for_every_image_but_noise_is_not() {
    let set = pictures(1);
    let seen = |corruption, seed, index| {
        Shift::new(corruption, 4, seed)
            .unwrap()
            .apply(SHAPE, index, set.bytes().unwrap())
    };
    use Corruption::*;
    for corruption in [
        Blur,
        Contrast,
        Rotation,
        Translation,
        DeadPixels,
        DeadColumns,
    ] {
        assert_eq!(
            seen(corruption, 5, 0),
            seen(corruption, 5, 9),
            "{corruption}"
        );
    }
    assert_ne!(seen(GaussianNoise, 5, 0), seen(GaussianNoise, 5, 9));
    assert_ne!(seen(DeadPixels, 5, 0), seen(DeadPixels, 6, 0));
}

#[test]
fn corruptions_by_hand() {
    let apply = |corruption, severity, image: &[u8], h, w, c| {
        let shape = ImageShape { h, w, c };
        Shift::new(corruption, severity, 0)
            .unwrap()
            .apply(shape, 0, image)
    };
    let grey = [0, 51, 255];
    assert_eq!(
        apply(Corruption::Contrast, 2, &grey, 1, 1, 3),
        [64, 89, 191]
    );
    assert_eq!(apply(Corruption::Gain, 1, &grey, 1, 1, 3), [0, 41, 204]);
    assert_eq!(apply(Corruption::Offset, 2, &grey, 1, 1, 3), [51, 102, 255]);
    assert_eq!(apply(Corruption::Blur, 5, &[9; 48], 4, 4, 3), [9; 48]);
    // Translation moves a centred point by 3 pixels on both axes and keeps it sharp.
    let mut point = vec![0; 784];
    point[14 * 28 + 14] = 200;
    let moved = apply(Corruption::Translation, 3, &point, 28, 28, 1);
    let at: Vec<usize> = (0..784).filter(|&i| moved[i] > 0).collect();
    assert_eq!(at.len(), 1);
    assert_eq!(
        ((at[0] / 28).abs_diff(14), (at[0] % 28).abs_diff(14)),
        (3, 3)
    );
    // Rotation keeps the centre and takes a point at distance 10 to the same distance.
    let mut bar = vec![0; 27 * 27];
    bar[13 * 27 + 13] = 255;
    bar[13 * 27 + 23] = 255;
    let turned = apply(Corruption::Rotation, 3, &bar, 27, 27, 1);
    assert_eq!(turned[13 * 27 + 13], 255);
    let far = (0..729)
        .filter(|&i| i != 13 * 27 + 13)
        .max_by_key(|&i| turned[i])
        .unwrap();
    let (dy, dx) = ((far / 27) as f64 - 13.0, (far % 27) as f64 - 13.0);
    assert!((dy.hypot(dx) - 10.0).abs() < 1.0);
    assert!((dy.abs().atan2(dx).to_degrees() - 28.0).abs() < 5.0);
    // Dead columns are whole, and as many as said.
    let columns = apply(Corruption::DeadColumns, 4, &[100; 784], 28, 28, 1);
    let dead = |x: &usize| (0..28).all(|y| matches!(columns[y * 28 + x], 0 | 255));
    assert_eq!((0..28).filter(dead).count(), 5);
}
