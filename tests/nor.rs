//! A simulated NOR flash that is as strict as a data sheet and loses power where a test wants it.
//!
//! Programming clears bits and a word is programmed once per erase; anything else is a fault. A step is
//! one programmed word or a quarter of a page's erase. Must not know what is stored.

use aplysia_shared::update::MappedFlash;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

pub(crate) const PAGE: usize = 128;
const ERASE_STEPS: u64 = 4;

/// What the step does during which the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tear {
    Nothing,
    /// A word: some of its bits are programmed. A page: some bits are erased.
    Part,
    /// A word: as `Part`. A page: any bits at all.
    Noise,
    /// All of it, but nobody is told.
    Everything,
}

pub(crate) const TEARS: [Tear; 4] = [Tear::Nothing, Tear::Part, Tear::Noise, Tear::Everything];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    NoPower,
    /// A word was programmed twice without an erase between.
    Twice,
    Kind(NorFlashErrorKind),
}

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Kind(kind) => *kind,
            _ => NorFlashErrorKind::Other,
        }
    }
}

/// Flash whose words have `WRITE` bytes.
#[derive(Clone, Debug)]
pub(crate) struct Nor<const WRITE: usize> {
    pub(crate) cells: Vec<u8>,
    /// Per word: nothing was programmed since the last whole erase.
    blank: Vec<bool>,
    /// A byte that takes no programming.
    pub(crate) stuck: Option<usize>,
    /// The step that the power does not survive, counted like `steps`.
    cut: Option<(u64, Tear)>,
    pub(crate) steps: u64,
    pub(crate) erased_pages: u32,
    pub(crate) written_bytes: u64,
    rng: ChaCha8Rng,
}

impl<const WRITE: usize> Nor<WRITE> {
    pub(crate) fn new(n_pages: usize) -> Self {
        Self::holding(vec![0xFF; n_pages * PAGE], true)
    }

    pub(crate) fn holding(cells: Vec<u8>, blank: bool) -> Self {
        Self {
            blank: vec![blank; cells.len() / WRITE],
            cells,
            stuck: None,
            cut: None,
            steps: 0,
            erased_pages: 0,
            written_bytes: 0,
            rng: ChaCha8Rng::seed_from_u64(5),
        }
    }

    /// Power for `steps` steps from now on; the next one tears.
    pub(crate) fn cut_after(mut self, steps: u64, tear: Tear) -> Self {
        self.cut = Some((self.steps + steps, tear));
        self.rng = ChaCha8Rng::seed_from_u64(steps);
        self
    }

    /// Power again.
    pub(crate) fn restart(mut self) -> Self {
        self.cut = None;
        self
    }

    pub(crate) fn powered(&self) -> Result<(), Fault> {
        match self.cut {
            Some((at, _)) if self.steps > at => Err(Fault::NoPower),
            _ => Ok(()),
        }
    }

    /// How the step tears that is about to be taken, if it does.
    fn step(&mut self) -> Option<Tear> {
        let cut = self.cut.filter(|&(at, _)| at == self.steps);
        self.steps += 1;
        cut.map(|(_, tear)| tear)
    }

    fn program(&mut self, at: usize, byte: u8, tear: Option<Tear>) {
        let kept = match tear {
            _ if self.stuck == Some(at) => 0xFF,
            Some(Tear::Nothing) => 0xFF,
            Some(Tear::Part | Tear::Noise) => self.rng.random(),
            Some(Tear::Everything) | None => 0,
        };
        self.cells[at] &= byte | kept;
    }
}

impl<const WRITE: usize> ErrorType for Nor<WRITE> {
    type Error = Fault;
}

impl<const WRITE: usize> ReadNorFlash for Nor<WRITE> {
    const READ_SIZE: usize = WRITE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        self.powered()?;
        check_read(self, offset, bytes.len()).map_err(Fault::Kind)?;
        bytes.copy_from_slice(&self.cells[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.cells.len()
    }
}

impl<const WRITE: usize> NorFlash for Nor<WRITE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        self.powered()?;
        check_erase(self, from, to).map_err(Fault::Kind)?;
        for page in (from as usize..to as usize).step_by(PAGE) {
            self.blank[page / WRITE..(page + PAGE) / WRITE].fill(false);
            for _ in 0..ERASE_STEPS {
                let tear = self.step();
                let cells = &mut self.cells[page..page + PAGE];
                match tear {
                    None | Some(Tear::Nothing) => {}
                    Some(Tear::Part) => {
                        cells.iter_mut().for_each(|c| *c |= self.rng.random::<u8>())
                    }
                    Some(Tear::Noise) => self.rng.fill(cells),
                    Some(Tear::Everything) => cells.fill(0xFF),
                }
                self.powered()?;
            }
            self.cells[page..page + PAGE].fill(0xFF);
            self.blank[page / WRITE..(page + PAGE) / WRITE].fill(true);
            self.erased_pages += 1;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        self.powered()?;
        check_write(self, offset, bytes.len()).map_err(Fault::Kind)?;
        for (word, bytes) in (offset as usize / WRITE..).zip(bytes.chunks(WRITE)) {
            if !core::mem::replace(&mut self.blank[word], false) {
                return Err(Fault::Twice);
            }
            let tear = self.step();
            for (at, &byte) in (word * WRITE..).zip(bytes) {
                self.program(at, byte, tear);
            }
            self.powered()?;
            self.written_bytes += WRITE as u64;
        }
        Ok(())
    }
}

impl<const WRITE: usize> MappedFlash for Nor<WRITE> {
    fn bytes(&self, range: Range<u32>) -> &[u8] {
        let range = range.start as usize..range.end as usize;
        self.cells.get(range).unwrap_or_default()
    }
}
