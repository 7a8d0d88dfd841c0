//! Presets of the command line: every value of every one, each search runs, the user's flags win.

use crate::program::aplysia_binary;
use jpeg_encoder::{ColorType, Encoder};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

type Values = BTreeMap<String, String>;

// Groups of values, `key=value`, as published; where nothing is, ours.

/// DARTS, CIFAR-10: 50 epochs of 64 images, C 16, L 8, SGD 0.025 to 0.001, weights' decay 3e-4, limit of the norm 5,
/// Adam 3e-4 with decay 1e-3, crop by 4, flip, seed 2. The 22 columns of BioNAS, coverage, feedback and gradients by
/// logits of its code.
const DARTS: &str = "strategy=darts space=darts channels=16 cells=8 coverage=paper flat=true pseudo-gradients=true \
    supernet-epochs=50 batch=64 lr=0.025 min-lr=0.001 warmup=0 momentum=0.9 nesterov=false weight-decay=0.0003 clip-norm=5 alpha-lr=0.0003 \
    alpha-weight-decay=0.001 shift=4 flip=true feedback-scale=fixed seed=2";
/// PC-DARTS: a quarter of the channels, 256 images, SGD 0.1 to 0, Adam 6e-4, logits after 15 epochs.
const PC_DARTS: &str = "partial=4 batch=256 lr=0.1 min-lr=0 alpha-lr=0.0006 warm-epochs=15";
/// EG-NAS: as PC-DARTS, logits by 3 generations of 50 with step 0.1 and likeness 0.4; deviation, bound, batches ours.
const EG_NAS: &str = "strategy=eg-nas partial=4 batch=256 lr=0.1 min-lr=0 warm-epochs=15 es-population=50 \
    es-generations=3 es-batches=4 es-sigma=0.5 es-step=0.1 es-likeness=0.4 es-bound=5";
/// The final network of DARTS for CIFAR: 600 epochs of 96, C 36, L 20, auxiliary 0.4, drop-path 0.2, cutout 16.
const FINAL: &str = "channels=36 cells=20 coverage=paper epochs=600 batch=96 lr=0.025 warmup=0 momentum=0.9 nesterov=false \
    weight-decay=0.0003 clip-norm=5 auxiliary=0.4 drop-path=0.2 shift=4 flip=true cutout=16 feedback-scale=fixed seed=0";
/// The final network of DARTS for ImageNet: 250 epochs of 128, C 48, L 14, 0.1 that falls by 3 % an epoch, decay 3e-5,
/// label smoothing 0.1.
const FINAL_LARGE: &str = "channels=48 cells=14 coverage=paper epochs=250 batch=128 lr=0.1 lr-decay=0.97 warmup=0 momentum=0.9 nesterov=false \
    weight-decay=0.00003 clip-norm=5 label-smoothing=0.1 shift=0 flip=true resized-crop=0.08 feedback-scale=fixed seed=0";
/// NAS-Bench-201: 5 cells a stage, C 16, 256 images, Nesterov 0.9, SGD 0.1, decay 5e-4.
const BENCH: &str = "channels=16 cells=5 batch=256 lr=0.1 warmup=0 momentum=0.9 weight-decay=0.0005 shift=4 flip=true \
    feedback-scale=fixed";
/// Half of CIFAR less what validates; how long the best network trains is not published for BioNAS.
const CIFAR: &str = "dataset=cifar10 images=41667 rungs=100";
/// Ours, for 2 cores.
const SMALL_DARTS: &str = "dataset=fashion-mnist space=darts strategy=darts batch=64 lr=0.05 warmup=0 clip-norm=5 \
    partial=2 max-skips=2 seed=1";
const SMALL_FINAL: &str = "dataset=fashion-mnist batch=64 lr=0.1 clip-norm=5 seed=1";

/// Name; groups and what differs from them, later ones win and `-key` takes one away: of the search, of the training.
#[rustfmt::skip]
const PRESETS: [(&str, &[&str], &[&str]); 15] = [
    ("fashion-minutes",
        &[SMALL_DARTS, "channels=4 cells=3 trials=1 images=4000 rungs=2 supernet-epochs=6 warm-epochs=2 alpha-lr=0.01"],
        &[SMALL_FINAL, "channels=8 cells=3 epochs=3 images=10000"]),
    ("fashion-hour",
        &[SMALL_DARTS, "channels=8 cells=5 trials=1 images=10000 rungs=2 supernet-epochs=12 warm-epochs=3 alpha-lr=0.003"],
        &[SMALL_FINAL, "channels=8 cells=5 epochs=8 auxiliary=0.4 drop-path=0.1 cutout=8"]),
    ("fashion-night",
        &[SMALL_DARTS, "channels=8 cells=5 trials=3 population=3 images=20000 rungs=2,5 supernet-epochs=25 \
            warm-epochs=5 alpha-lr=0.001 stop=eigenvalue"],
        &[SMALL_FINAL, "channels=16 cells=8 epochs=20 batch=96 auxiliary=0.4 drop-path=0.2 cutout=8"]),
    ("fashion-eg-nas",
        &[SMALL_DARTS, "strategy=eg-nas channels=4 cells=3 trials=1 images=2000 rungs=2 supernet-epochs=6 \
            warm-epochs=2 es-population=16 es-generations=2 es-batches=2"],
        &[SMALL_FINAL, "channels=8 cells=3 epochs=3 images=10000"]),
    ("fashion-evolution",
        &["dataset=fashion-mnist space=mcu strategy=evolution trials=16 population=8 images=5000 rungs=1,3 batch=128 \
            lr=0.1 instructions=2000000 seed=1"],
        &["dataset=fashion-mnist epochs=10 images=20000 batch=128 lr=0.1 seed=1"]),
    ("cifar10", &[DARTS, CIFAR, "trials=4 population=4"], &[FINAL, "dataset=cifar10"]),
    ("cifar100", &[DARTS, CIFAR, "dataset=cifar100 trials=4 population=4"], &[FINAL, "dataset=cifar100"]),
    ("second-order-cifar10", &[DARTS, CIFAR, "second-order=true trials=4 population=4"], &[FINAL, "dataset=cifar10"]),
    ("pc-darts-cifar10", &[DARTS, PC_DARTS, CIFAR, "trials=1"], &[FINAL, "dataset=cifar10"]),
    ("eg-nas-cifar10", &[DARTS, EG_NAS, CIFAR, "trials=1 -alpha-lr -alpha-weight-decay -pseudo-gradients"],
        &[FINAL, "dataset=cifar10 epochs=800 drop-path=0.3"]),
    ("imagenet16-120",
        &[DARTS, "dataset=imagenet16-120 weight-decay=0.0005 shift=2 -nesterov trials=1 images=126417 rungs=20"],
        &[BENCH, "dataset=imagenet16-120 channels=36 cells=20 coverage=paper epochs=200 drop-path=0.2 shift=2 seed=0"]),
    ("nasbench201-cifar10",
        &[BENCH, "dataset=cifar10 space=nasbench201 strategy=evolution trials=64 population=16 images=25000 \
            rungs=12,50 seed=1"],
        &[BENCH, "dataset=cifar10 epochs=200 seed=0"]),
    ("nasbench201-imagenet16-120",
        &[BENCH, "dataset=imagenet16-120 space=nasbench201 strategy=random trials=64 population=16 images=126417 \
            rungs=12,50 shift=2 seed=1"],
        &[BENCH, "dataset=imagenet16-120 epochs=200 shift=2 seed=0"]),
    ("tiny-imagenet",
        &[DARTS, "-flat -pseudo-gradients dataset=tiny-imagenet partial=4 trials=1 images=100000 rungs=10 warm-epochs=15 \
            shift=0 resized-crop=0.08"],
        &[FINAL_LARGE, "dataset=tiny-imagenet"]),
    ("imagenet",
        &[DARTS, PC_DARTS, "-flat -pseudo-gradients dataset=image-folder:224 trials=1 images=160000 rungs=10 warm-epochs=35 \
            alpha-lr=0.006 shift=0 resized-crop=0.08 jitter=0.4,0.4,0.4,0.2"],
        &[FINAL_LARGE, "dataset=image-folder:224 auxiliary=0.4 jitter=0.4,0.4,0.4,0.2"]),
];

fn wanted(groups: &[&str]) -> Values {
    let mut all = Values::new();
    for word in groups.iter().flat_map(|group| group.split_whitespace()) {
        if let Some(gone) = word.strip_prefix('-') {
            assert!(all.remove(gone).is_some(), "{gone}");
        } else {
            let (key, value) = word.split_once('=').unwrap();
            all.insert(key.into(), value.into());
        }
    }
    all
}

fn found(table: &toml::Value) -> Values {
    fn text(value: &toml::Value) -> String {
        match value {
            toml::Value::String(s) => s.clone(),
            toml::Value::Float(f) => f.to_string(),
            toml::Value::Array(a) => a.iter().map(text).collect::<Vec<_>>().join(","),
            other => other.to_string(),
        }
    }
    let table = table.as_table().unwrap().iter();
    table
        .map(|(key, value)| (key.clone(), text(value)))
        .collect()
}

#[test]
fn every_value_of_every_preset_is_the_published_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/presets");
    let files = fs::read_dir(&folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    // The sizes of `study paper` are of another kind.
    let names: BTreeSet<String> = names.filter(|name| !name.starts_with("paper-")).collect();
    let known = PRESETS.iter().map(|(name, ..)| format!("{name}.toml"));
    assert_eq!(names, known.collect());
    for (name, search, training) in PRESETS {
        let text = fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
        let preset: toml::Value = toml::from_str(&text).unwrap();
        assert_eq!(found(&preset["search"]), wanted(search), "{name}, search");
        assert_eq!(found(&preset["train"]), wanted(training), "{name}, train");
    }
}

/// Pictures of two classes, as small as every space takes them.
fn pictures(dir: &Path) {
    for (class, shade) in [("dark", 40u8), ("light", 150)] {
        let part = |part: &str| dir.join(part).join(class);
        for (folder, n) in [(part("train"), 12), (part("val"), 2)] {
            fs::create_dir_all(&folder).unwrap();
            for i in 0..n {
                let mut bytes = vec![];
                let pixels: Vec<u8> = (0..8 * 8 * 3)
                    .map(|p| shade + (7 * i + p % 5) as u8)
                    .collect();
                let encoder = Encoder::new(&mut bytes, 100);
                encoder.encode(&pixels, 8, 8, ColorType::Rgb).unwrap();
                fs::write(folder.join(format!("{i}.jpg")), bytes).unwrap();
            }
        }
    }
}

/// What makes every preset a matter of a second: its own strategy, tiny images, the smallest sizes.
fn small(name: &str, search: &[&str], data: &Path) -> String {
    let values = wanted(search);
    let mut line = format!(
        "search PATH --preset={name} --dataset image-folder:8 --data {} --images 20 --batch 5 --trials 2 \
         --population 2 --rungs 1",
        data.display()
    );
    if values["space"] != "mcu" {
        line += " --cells 1 --channels 8";
    }
    if values["space"] == "darts" {
        line += " --supernet-epochs 1 --warm-epochs 0 --es-population 4 --es-generations 1 --es-batches 1";
    }
    line
}

fn aplysia(line: &str, path: &Path) -> Output {
    let words = line.split(' ').map(|word| match word {
        "PATH" => path.display().to_string(),
        word => word.to_string(),
    });
    Command::new(aplysia_binary()).args(words).output().unwrap()
}

#[track_caller]
fn finish(line: &str, path: &Path) -> String {
    let output = aplysia(line, path);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_preset_searches_to_a_winner() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    pictures(&data);
    for (name, search, _) in PRESETS {
        let study = dir.path().join(name);
        finish(&small(name, search, &data), &study);
        assert!(study.join("best.toml").exists(), "{name}");
        let ledger = fs::read_to_string(study.join("ledger.jsonl")).unwrap();
        assert!(
            ledger.contains("\"event\":\"result\"") || ledger.contains("accuracy"),
            "{name}: {ledger}"
        );
        let text = fs::read_to_string(study.join("study.toml")).unwrap();
        for words in [
            format!("strategy = \"{}\"", wanted(search)["strategy"]),
            "batch = 5".into(),
        ] {
            assert!(text.contains(&words), "{name}: no {words} in {text}");
        }
    }
}

#[test]
fn a_preset_trains_by_its_values() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    pictures(&data);
    let more = format!(
        "--dataset image-folder:8 --data {} --images 20 --batch 5 --epochs 1",
        data.display()
    );
    for (name, genotype, words) in [
        (
            "eg-nas-cifar10",
            "BIODARTS",
            ["\"drop_path\": 0.3", "\"cutout\": 16", "\"lr\": 0.025"],
        ),
        (
            "nasbench201-cifar10",
            "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
            [
                "\"weight_decay\": 0.0005",
                "\"shift\": 4",
                "\"feedback_scale\": \"fixed\"",
            ],
        ),
    ] {
        let run = dir.path().join(format!("{name}-run"));
        let line = format!(
            "train {genotype} --out PATH --preset {name} {more} --channels 8 --cells 1 --auxiliary 0"
        );
        finish(&line, &run);
        let text = fs::read_to_string(run.join("run.json")).unwrap();
        for words in words.iter().chain(&["\"batch\": 5", "\"epochs\": 1"]) {
            assert!(text.contains(words), "{name}: no {words} in {text}");
        }
    }
}

#[test]
fn flags_win_over_presets_and_unknown_ones_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let study = dir.path().join("study");
    let data = dir.path().join("data");
    pictures(&data);
    // Before or after the preset, lists and switches, too.
    let line = format!(
        "search PATH --channels 8 --cells 1 --images 20 --batch 8 --rungs 1,2 --preset fashion-minutes \
         --strategy random --space darts --trials 1 --flip=false --clip-norm 1 --seed 9 --dataset image-folder:8 --data {}",
        data.display()
    );
    finish(&line, &study);
    let text = fs::read_to_string(study.join("study.toml")).unwrap();
    for words in [
        "seed = 9",
        "strategy = \"random\"",
        "clip_norm = 1.0",
        "flip = false",
        "lr = 0.05",
    ] {
        assert!(text.contains(words), "no {words} in {text}");
    }
    assert!(
        text.replace(char::is_whitespace, "")
            .contains("budgets=[1,2]"),
        "{text}"
    );
    let list = finish("search --preset help", &study);
    assert!(
        PRESETS
            .iter()
            .all(|(name, ..)| list.contains(&format!("\n  {name} "))),
        "{list}"
    );
    let refusals = [
        (
            "train BIODARTS --out PATH --preset cifar11",
            "unknown preset `cifar11`",
        ),
        (
            "train BIODARTS --out PATH --preset cifar11",
            "fashion-night",
        ),
        (
            "evaluate PATH --preset cifar10",
            "says nothing of `evaluate`",
        ),
        (
            "search PATH --preset cifar10 --space nasbench201",
            "the preset cifar10 is for the space darts: leave out --space nasbench201",
        ),
        (
            "search PATH --space=darts --preset=fashion-evolution",
            "is for the space mcu",
        ),
    ];
    for (line, words) in refusals {
        let refused = aplysia(line, &study);
        let errors = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{line}: {errors}");
        assert!(errors.contains(words), "{line}: {errors}");
    }
}
