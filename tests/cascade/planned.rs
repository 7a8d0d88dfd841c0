//! What the planner makes of a limit of RAM: the same scores, the same learning, the costs that a search was told.

use super::layers::random;
use super::scores;
use crate::blob::encoded;
use crate::cells_deploy::exported_cells;
use crate::float_network::{CLASSES, Case, INPUT};
use crate::program::aplysia_binary;
use aplysia_deploy::cascade::within;
use aplysia_deploy::{Card, Content, DeployError, HomeostasisScope};
use aplysia_shared::Model;
use aplysia_shared::adapt::deep::{Deep, Feedback, choose};
use aplysia_shared::adapt::{Config, Head, Plastic, state_bytes};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::fs;
use std::process::Command;

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
        let smallest = within(blob, 0, None).unwrap();
        let model = Model::parse(&smallest).unwrap();
        let least = model.arena_bytes();
        assert!(least <= most, "{i}");
        assert_eq!(scores(&smallest), scores(blob), "{i}");
        smaller += usize::from(least < most);
        (before, after) = (before + most, after + least);
        for ram_bytes in [least, (least + most) / 2, most] {
            let fits = within(blob, ram_bytes, None).unwrap();
            let model = Model::parse(&fits).unwrap();
            assert!(model.arena_bytes() <= ram_bytes, "{i}: {ram_bytes}");
            assert_eq!(model.cascades().is_empty(), ram_bytes >= most, "{i}");
            assert_eq!(scores(&fits), scores(blob), "{i}: {ram_bytes}");
            assert_eq!(
                within(blob, ram_bytes, None).unwrap(),
                fits,
                "twice the same"
            );
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
    let smallest = made().within(None, None).unwrap();
    let least = smallest.costs.ram_bytes;
    assert!(least < made().costs.ram_bytes && !least.is_multiple_of(16));
    assert_eq!(smallest.costs.macs, made().costs.macs);
    let planned = least.next_multiple_of(16);
    assert!(smallest.map.contains(&format!("arena {planned} bytes")));
    let exactly = made().within(Some(least as usize), None).unwrap();
    assert_eq!(exactly.costs.ram_bytes, least);
    let ram_bytes = least as usize - 1;
    match made().within(Some(ram_bytes), None) {
        Err(DeployError::Ram {
            least: said,
            ram_bytes: asked,
        }) => assert_eq!((said, asked), (least, ram_bytes)),
        other => panic!("{other:?}"),
    }
    let all = made().costs.ram_bytes as usize;
    assert_eq!(made().within(Some(all), None).unwrap(), made());
    let large = made().within(Some(usize::MAX), None).unwrap();
    assert_eq!(large, made());
}

/// Learning with labels and without comes to the same state, and to the same scores; below the head no layer of a
/// cascade learns.
#[test]
fn a_network_in_cascades_learns_alike() {
    let content = Content {
        homeostasis: HomeostasisScope::Stem,
        ..Content::new(&CLASSES)
    };
    let config = Config {
        homeostasis: Some(2),
        head: Head::Delta { rate: 4000 },
    };
    let mut followed = 0;
    for seed in 0..20 {
        let blob = Case::random(seed, INPUT, 2).export(&content).blob;
        let model = Model::parse(&blob).unwrap();
        let together = within(&blob, 0, Some(&config)).unwrap();
        let small = Model::parse(&together).unwrap();
        // Under one name, so that states can be compared.
        let [plain, small] = [&model, &small].map(|m| encoded(&m.graph(), m.data()).unwrap());
        let [plain, small] = [&plain, &small].map(|blob| Model::parse(blob).unwrap());
        followed += usize::from(small.cascade_of(0).is_some());
        let learned = [&plain, &small].map(|model| {
            let mut buffer = vec![0; state_bytes(model, &config).unwrap()];
            let mut plastic = Plastic::new(model, config, 7, &mut buffer).unwrap();
            let mut arena = vec![0x55; model.arena_bytes()];
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            for label in [0, 1, 2, 1, 0] {
                let input: Vec<i8> = (0..model.input().len()).map(|_| rng.random()).collect();
                plastic.observe(model, &mut arena, &input).unwrap();
                plastic.learn(model, label).unwrap();
            }
            let input = vec![3; model.input().len()];
            let found = plastic.infer(model, &mut arena, &input).unwrap();
            (
                plastic.snapshot().to_vec(),
                plastic.scores().to_vec(),
                found,
            )
        });
        assert_eq!(learned[0], learned[1], "seed {seed}");
        let deep = Config {
            homeostasis: None,
            head: Head::Deep {
                rate: 10,
                deep: Deep {
                    ram_bytes: u32::MAX,
                    rate: 10,
                    feedback: Feedback::Random,
                },
            },
        };
        let chosen = choose(&small, &deep);
        let in_one = |layer: &usize| chosen >> layer & 1 == 1 && small.cascade_of(*layer).is_some();
        assert_eq!((0..small.n_layers()).find(in_one), None);
        // What is to learn stays apart.
        let kept = within(&blob, 0, Some(&deep)).unwrap();
        let kept = Model::parse(&kept).unwrap();
        assert_eq!(choose(&kept, &deep), choose(&model, &deep));
    }
    assert!(followed > 3, "{followed}");
}

/// A search that may let layers run together finds networks that need more RAM on their own, and export makes of the
/// winner what the ledger says.
#[test]
fn a_search_within_little_ram_finds_what_export_makes() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (study, run, model, alone) = (at("study"), at("run"), at("model"), at("alone"));
    let aplysia = |line: &str| {
        let output = Command::new(aplysia_binary())
            .args(line.split(' '))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    };
    let said = aplysia(&format!(
        "search {study} --trials 2 --population 2 --images 256 --rungs 1 --ram-bytes 2000 --cascades \
         --instructions 4000000 --seed 5"
    ));
    // As many as it was searched for.
    let (_, flag) = said.split_once("--golden 0 --ram-bytes ").unwrap();
    let needed: u64 = flag.split('`').next().unwrap().parse().unwrap();
    let best = fs::read_to_string(format!("{study}/best.toml")).unwrap();
    let ledger = fs::read_to_string(format!("{study}/ledger.jsonl")).unwrap();
    let trials = ledger
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let costs: Vec<Value> = trials.map(|trial| trial["costs"].clone()).collect();
    let costs: Vec<Value> = costs.into_iter().filter(|costs| !costs.is_null()).collect();
    assert!(costs.len() == 2 && costs.iter().all(|c| c["ram_bytes"].as_u64() <= Some(2000)));
    aplysia(&format!(
        "train {study}/best.toml --out {run} --epochs 1 --images 256"
    ));
    let export = |out: &str, flag: &str| {
        aplysia(&format!(
            "export {run} --golden 0 --calibration 64 --out {out}{flag}"
        ));
        Card::from_toml(&fs::read_to_string(format!("{out}/card.toml")).unwrap()).unwrap()
    };
    let (small, large) = (
        export(&model, &format!(" --ram-bytes {needed}")),
        export(&alone, ""),
    );
    assert!(large.costs.ram_bytes > 2000, "{best}");
    let same = |c: &Value| {
        let cost = |name: &str| c[name].as_u64().unwrap();
        let got = [
            small.costs.ram_bytes,
            small.costs.instructions,
            small.costs.flash_bytes,
        ];
        got == ["ram_bytes", "instructions", "flash_bytes"].map(cost)
    };
    assert!(costs.iter().any(same), "{costs:?}: {:?}", small.costs);
    assert_eq!(small.accuracy, large.accuracy);
    assert!(
        small
            .commands
            .last()
            .unwrap()
            .ends_with(&format!("--ram-bytes {needed}")),
        "{:?}",
        small.commands
    );
    let said = aplysia(&format!("inspect {model}/model.blob"));
    assert!(said.contains("run together"), "{said}");
}
