//! Data: CIFAR and ImageNet16 from small files in the publishers' formats, written here; damaged files.

use crate::damage::{check_errors, put};
use crate::pickle::Pickle;
use aplysia_data::batch::{BatchFile, Encoding};
use aplysia_data::cifar::{self, Archive, NamesFile};
use aplysia_data::imagenet16::{self, Files};
use aplysia_data::{DataError, FormatFault, ImageShape, Part, Source};
use md5::{Digest, Md5};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::Path;

fn random_bytes(n: usize, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random()).collect()
}

/// `[h·w, 3]` as planes R, G, B.
fn planes(image: &[u8]) -> Vec<u8> {
    let plane = |c| image.iter().skip(c).step_by(3).copied();
    (0..3).flat_map(plane).collect()
}

/// Random colour images with labels 1, 2, ..., in batches.
struct Images {
    batches: Vec<(Vec<Vec<u8>>, Vec<u16>)>,
}

impl Images {
    fn new(side: usize, counts: &[usize]) -> Self {
        let image = |i: usize| random_bytes(side * side * 3, i as u64);
        let mut first = 0;
        let mut batch = |&n: &usize| {
            first += n;
            let range = first - n..first;
            let labels = range.clone().map(|i| i as u16 + 1).collect();
            (range.map(image).collect(), labels)
        };
        Self {
            batches: counts.iter().map(&mut batch).collect(),
        }
    }

    /// Pixels of some batches, `[n, h, w, 3]`.
    fn pixels(&self, batches: std::ops::Range<usize>) -> Vec<u8> {
        self.batches[batches]
            .iter()
            .flat_map(|b| b.0.concat())
            .collect()
    }

    fn binary(&self, batch: usize, coarse: bool) -> Vec<u8> {
        let (images, labels) = &self.batches[batch];
        let record = |(image, &label): (&Vec<u8>, &u16)| {
            let mut record = if coarse { vec![19] } else { vec![] };
            record.push(label as u8);
            record.extend(planes(image));
            record
        };
        images.iter().zip(labels).flat_map(record).collect()
    }

    fn pickle(&self, batch: usize, key: &str, python2: bool) -> Vec<u8> {
        let (images, labels) = &self.batches[batch];
        let data: Vec<u8> = images.iter().flat_map(|i| planes(i)).collect();
        let shape = (images.len(), images[0].len());
        let pickle = Pickle::dictionary(python2)
            .text("batch_label")
            .text("batch 1 of 2");
        let pickle = pickle
            .numbers(key, labels)
            .array("data", &data, shape, false);
        pickle.texts("filenames", &["a.png".into()]).end()
    }
}

fn class_names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("class {i}")).collect()
}

/// The files of `names` in `dir` as they are, with their digests where `with_md5`.
fn specs(
    dir: &Path,
    names: &[&'static str],
    n: Option<usize>,
    with_md5: bool,
) -> &'static [BatchFile] {
    let spec = |&name: &&'static str| {
        let digest = Md5::digest(fs::read(dir.join(name)).unwrap());
        let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        BatchFile {
            name,
            n_images: n,
            md5: with_md5.then(|| &*hex.leak()),
        }
    };
    names.iter().map(spec).collect::<Vec<_>>().leak()
}

/// CIFAR in small: the binary and the python version below `dir`.
fn put_cifar(dir: &Path, images: &Images, n_classes: usize) -> [Archive; 2] {
    let coarse = n_classes == 100;
    let (bin, py) = (dir.join("bin"), dir.join("py"));
    let key = if coarse { "fine_labels" } else { "labels" };
    for batch in 0..3 {
        put(&bin, &format!("{batch}.bin"), &images.binary(batch, coarse));
        put(&py, &batch.to_string(), &images.pickle(batch, key, true));
    }
    let names = class_names(n_classes);
    put(&bin, "names.txt", (names.join("\n") + "\n\n").as_bytes());
    let meta = Pickle::dictionary(true).texts("label_names", &names).end();
    put(&py, "meta", &meta);
    let names = |name, key| NamesFile {
        name,
        key,
        n_classes,
    };
    let archive = |folder, encoding, files: [&[BatchFile]; 2], names| Archive {
        name: "small.tar.gz",
        md5: "0123456789abcdef",
        folder,
        encoding,
        train: files[0].to_vec().leak(),
        test: files[1].to_vec().leak(),
        names,
    };
    let binary = Encoding::Binary {
        label_bytes: 1 + usize::from(coarse),
    };
    let files = |n, names| specs(&bin, names, Some(n), false);
    let binary_files = [files(4, &["0.bin", "1.bin"]), files(3, &["2.bin"])];
    let files = |n, names| specs(&py, names, Some(n), true);
    let python_files = [files(4, &["0", "1"]), files(3, &["2"])];
    [
        archive("bin", binary, binary_files, names("names.txt", "")),
        archive(
            "py",
            Encoding::Pickle { labels: key },
            python_files,
            names("meta", "label_names"),
        ),
    ]
}

#[test]
fn both_versions_of_cifar_hold_the_same_pixels() {
    for n_classes in [15, 100] {
        let dir = tempfile::tempdir().unwrap();
        let images = Images::new(32, &[4, 4, 3]);
        let archives = put_cifar(dir.path(), &images, n_classes);
        for (part, batches) in [(Part::Train, 0..2), (Part::Test, 2..3)] {
            let [binary, python] = archives.map(|archive| {
                archive
                    .load(&dir.path().join(archive.folder), part)
                    .unwrap()
            });
            let pixels = images.pixels(batches.clone());
            assert_eq!(binary.bytes().unwrap(), pixels);
            let labels: Vec<u16> = if part == Part::Train {
                (1..9).collect()
            } else {
                (9..12).collect()
            };
            assert_eq!(binary.labels, labels);
            assert_eq!(binary.class_names, class_names(n_classes));
            assert_eq!(binary, python);
        }
        // Either version is found from its own folder and from the one around it.
        let here = cifar::load(dir.path(), &archives, Part::Test).unwrap();
        assert_eq!(
            cifar::load(&dir.path().join("py"), &archives, Part::Test).unwrap(),
            here
        );
        let none = cifar::load(Path::new("/nowhere"), &archives, Part::Test).unwrap_err();
        assert!(matches!(none, DataError::Missing { .. }), "{none}");
    }
}

#[test]
fn bad_cifar_files_are_named_with_what_they_should_be() {
    let dir = tempfile::tempdir().unwrap();
    let images = Images::new(32, &[4, 4, 3]);
    let archives = put_cifar(dir.path(), &images, 15);
    let load = |i: usize| archives[i].load(&dir.path().join(archives[i].folder), Part::Train);
    let html: &[u8] = b"<html>not found</html>";

    let path = dir.path().join("bin/1.bin");
    let good = fs::read(&path).unwrap();
    let long = [&good[..], &[0]].concat();
    let coarse = images.binary(1, true);
    let changes = [
        None,
        Some(html),
        Some(&good[..0]),
        Some(&good[..3073]),
        Some(&good[..12_291]),
        Some(&long),
        Some(&coarse),
    ];
    let parts = [
        "1.bin",
        "12292 bytes",
        "4 images of 3072 bytes",
        "small.tar.gz",
        "0123456789abcdef",
    ];
    let errors = check_errors(&path, &parts, &changes, || load(0));
    assert!(matches!(errors[0], DataError::Missing { .. }));
    assert!(
        errors[1..]
            .iter()
            .all(|e| matches!(e, DataError::Wrong { .. }))
    );
    let mut label = good;
    label[2 * 3073] = 15;
    fs::write(&path, label).unwrap();
    assert!(matches!(
        load(0).unwrap_err(),
        DataError::Label {
            index: 6,
            label: 15,
            n_classes: 15
        }
    ));

    let path = dir.path().join("py/1");
    let good = fs::read(&path).unwrap();
    let other = fs::read(dir.path().join("py/0")).unwrap();
    let changes = [
        None,
        Some(html),
        Some(&good[..good.len() - 1]),
        Some(&other),
    ];
    let parts = [
        "py/1",
        "4 images of 3072 bytes",
        archives[1].train[1].md5.unwrap(),
    ];
    check_errors(&path, &parts, &changes, || load(1));

    let path = dir.path().join("py/meta");
    let few = Pickle::dictionary(true)
        .texts("label_names", &class_names(3))
        .end();
    let errors = check_errors(
        &path,
        &["meta", "15 class names"],
        &[None, Some(html), Some(&few)],
        || load(1),
    );
    let fault = FormatFault::Number {
        what: "class names",
        got: 3,
        want: 15,
    };
    assert!(matches!(&errors[2], DataError::Format { fault: f, .. } if *f == fault));
}

/// ImageNet16 in small, from Python 3: 5 images of 16×16 with labels 117 to 121.
fn put_imagenet16(dir: &Path, n_kept: usize) -> Files {
    let mut images = Images::new(16, &[5]);
    images.batches[0].1 = (117..122).collect();
    put(dir, "val_data", &images.pickle(0, "labels", false));
    Files {
        files: specs(dir, &["val_data"], None, false),
        n_kept,
    }
}

#[test]
fn imagenet16_keeps_the_first_120_classes() {
    let dir = tempfile::tempdir().unwrap();
    let files = put_imagenet16(dir.path(), 4);
    let set = imagenet16::load_files(dir.path(), &files).unwrap();
    assert_eq!(set.labels, [116, 117, 118, 119]);
    assert_eq!(set.bytes().unwrap(), Images::new(16, &[4]).pixels(0..1));
    assert_eq!(
        (set.shape, set.n_classes()),
        (ImageShape { h: 16, w: 16, c: 3 }, 120)
    );
    let files = put_imagenet16(dir.path(), 5);
    let error = imagenet16::load_files(dir.path(), &files).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("4 images of classes 1 to 120, expected 5"),
        "{error}"
    );
    // The published file has another digest than ours.
    let error = Source::ImageNet16.load(dir.path(), Part::Test).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("3410e3017fdaefba8d5073aaa65e4bd6"),
        "{error}"
    );
}

#[test]
fn a_pickle_that_is_not_a_batch_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let files = put_imagenet16(dir.path(), 4);
    let good = fs::read(dir.path().join("val_data")).unwrap();
    let fault = |bytes: &[u8]| {
        fs::write(dir.path().join("val_data"), bytes).unwrap();
        match imagenet16::load_files(dir.path(), &files).unwrap_err() {
            DataError::Format { fault, .. } => fault,
            other => panic!("{other}"),
        }
    };
    for n in (0..good.len()).step_by(41).chain([good.len() - 1]) {
        assert!(
            matches!(fault(&good[..n]), FormatFault::Pickle { .. }),
            "{n} bytes"
        );
    }
    let new = || Pickle::dictionary(false);
    let data = random_bytes(2 * 768, 1);
    let labelled = || new().numbers("labels", &[1, 2]);
    assert!(matches!(
        fault(b"\x80\x02K\x01."),
        FormatFault::Pickle { .. }
    ));
    assert!(matches!(
        fault(&labelled().end()),
        FormatFault::Entry { .. }
    ));
    let array = |shape, fortran| labelled().array("data", &data, shape, fortran).end();
    assert!(matches!(
        fault(&array((2, 768), true)),
        FormatFault::Entry { .. }
    ));
    for shape in [(3, 768), (1, 1536), (usize::MAX, 768)] {
        assert!(matches!(
            fault(&array(shape, false)),
            FormatFault::Number { .. } | FormatFault::Entry { .. }
        ));
    }
    let unlabelled = new().array("data", &data, (2, 768), false);
    assert!(matches!(
        fault(&unlabelled.numbers("labels", &[1]).end()),
        FormatFault::Number { .. }
    ));
    let negative = new()
        .array("data", &data, (2, 768), false)
        .text("labels")
        .op(b"](")
        .number(-1);
    assert!(matches!(
        fault(&negative.op(b"e").end()),
        FormatFault::Entry { .. }
    ));
}
