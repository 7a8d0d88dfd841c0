//! Every dataset by one name: where its files are, which part to read, what comes out.
//!
//! The one entry point of whoever does not care which publisher made the files. Must not know any
//! format. What the images take in memory is said by each dataset's module: 47 MB (Fashion-MNIST) to 154 MB (CIFAR);
//! pictures of folders are decoded when they are needed.

use crate::{DataError, Dataset, cifar, fashion_mnist, image_folder, imagenet16};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Which images of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Those to train on; [`crate::Splits`] takes the validation images from them.
    Train,
    /// Those of the final evaluation, which alone may read them.
    Test,
}

/// A dataset that can be loaded. Its text form is the name used on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `fashion-mnist`: 28×28, grey, 10 classes ([`fashion_mnist`]).
    FashionMnist,
    /// `fashion-mnist-32`: the same with a black margin of 2 pixels ([`Dataset::padded`]).
    FashionMnist32,
    /// `cifar10`: 32×32, colour, 10 classes ([`cifar`]).
    Cifar10,
    /// `cifar100`: 32×32, colour, 100 classes ([`cifar`]).
    Cifar100,
    /// `imagenet16-120`: 16×16, colour, 120 classes ([`imagenet16`]).
    ImageNet16,
    /// `tiny-imagenet`: 64×64, colour, 200 classes ([`image_folder`]).
    TinyImageNet,
    /// `image-folder:SIDE`: `SIDE`×`SIDE`, colour, one class per folder ([`image_folder`]).
    ImageFolder {
        /// Width and height of the images in memory, 1 to 1024.
        side: u32,
    },
}

const FOLDER_PREFIX: &str = "image-folder:";

const KNOWN: &str = "fashion-mnist, fashion-mnist-32, cifar10, cifar100, imagenet16-120, \
                     tiny-imagenet, image-folder:SIDE (SIDE in 1..=1024)";

impl Source {
    /// The folder to read: `argument`, else the environment's `APLYSIA_DATA`, else, for Fashion-MNIST
    /// only, [`fashion_mnist::DEBIAN_DIR`].
    ///
    /// # Errors
    /// [`DataError::Folder`] when nothing names a folder.
    pub fn locate(self, argument: Option<&Path>) -> Result<PathBuf, DataError> {
        let environment = std::env::var_os("APLYSIA_DATA").filter(|v| !v.is_empty());
        let named = argument
            .map(Path::to_path_buf)
            .or(environment.map(PathBuf::from));
        match self {
            Source::FashionMnist | Source::FashionMnist32 => {
                Ok(named.unwrap_or_else(|| fashion_mnist::DEBIAN_DIR.into()))
            }
            _ => named.ok_or_else(|| DataError::Folder {
                name: self.to_string(),
            }),
        }
    }

    /// Reads one part from the folder `dir`.
    ///
    /// # Errors
    /// A file is missing, damaged or another one: the message names the file, says what it should be and what to
    /// do. Whether a picture of a folder can be decoded is known when it is read.
    pub fn load(self, dir: &Path, part: Part) -> Result<Dataset, DataError> {
        match self {
            Source::FashionMnist => fashion_mnist::load(dir, part),
            Source::FashionMnist32 => fashion_mnist::load(dir, part)?.padded(32),
            Source::Cifar10 => cifar::load(dir, &cifar::CIFAR10, part),
            Source::Cifar100 => cifar::load(dir, &cifar::CIFAR100, part),
            Source::ImageNet16 => imagenet16::load(dir, part),
            Source::TinyImageNet => {
                image_folder::load_tiny(dir, part, &image_folder::TINY_IMAGENET)
            }
            Source::ImageFolder { side } => image_folder::load(dir, part, side),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::FashionMnist => f.write_str("fashion-mnist"),
            Source::FashionMnist32 => f.write_str("fashion-mnist-32"),
            Source::Cifar10 => f.write_str("cifar10"),
            Source::Cifar100 => f.write_str("cifar100"),
            Source::ImageNet16 => f.write_str("imagenet16-120"),
            Source::TinyImageNet => f.write_str("tiny-imagenet"),
            Source::ImageFolder { side } => write!(f, "{FOLDER_PREFIX}{side}"),
        }
    }
}

impl FromStr for Source {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        let side = |text: &str| text.parse().ok().filter(|s| (1..=1024).contains(s));
        let folder = name.strip_prefix(FOLDER_PREFIX).and_then(side);
        if let Some(side) = folder {
            return Ok(Source::ImageFolder { side });
        }
        let named = [
            Source::FashionMnist,
            Source::FashionMnist32,
            Source::Cifar10,
            Source::Cifar100,
            Source::ImageNet16,
            Source::TinyImageNet,
        ];
        let found = named.into_iter().find(|source| source.to_string() == name);
        found.ok_or_else(|| DataError::Unknown {
            got: name.into(),
            known: KNOWN,
        })
    }
}
