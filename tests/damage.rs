//! Files of a dataset for the tests of loaders: put in place, damaged, put back.

use aplysia_data::{DataError, Dataset};
use std::fs;
use std::path::Path;

/// Writes `dir/name` and the folders that lead there.
pub(crate) fn put(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Loads after each change of the file and checks that the message tells all of `parts`.
pub(crate) fn check_errors(
    path: &Path,
    parts: &[&str],
    changes: &[Option<&[u8]>],
    load: impl Fn() -> Result<Dataset, DataError>,
) -> Vec<DataError> {
    let good = fs::read(path).unwrap();
    let error = |change: &Option<&[u8]>| {
        match change {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        let error = load().unwrap_err();
        let text = error.to_string();
        for part in parts.iter().chain(&["--data DIR"]) {
            assert!(text.contains(part), "`{part}` is missing in: {text}");
        }
        error
    };
    let errors = changes.iter().map(error).collect();
    fs::write(path, good).unwrap();
    load().unwrap();
    errors
}
