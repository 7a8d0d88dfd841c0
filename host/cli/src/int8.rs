//! A trained network in int8: calibrated, quantized, its costs held against the prediction. `export` releases the
//! result, `search` lets it learn.

use crate::{images, train};
use anyhow::{Context, Result, ensure};
use aplysia_data::{Dataset, Normalization};
use aplysia_deploy::{Calibration, Content, Export, cost_of_network, export};
use aplysia_learn::{Device, activation_ranges};
use aplysia_live::evaluate::Images;
use aplysia_space::{Network, NetworkParams};

/// Training images used for calibration unless told otherwise.
pub(crate) const N_CALIBRATION: usize = 1000;

/// Leaves in `params` the layers at `kept`, those of [`Network::inference`].
///
/// # Errors
/// The parameters are of another network.
pub(crate) fn keep(params: &mut NetworkParams, kept: &[usize]) -> Result<()> {
    let layers = kept.iter().map(|&at| params.layers.get(at).cloned());
    let layers: Option<Vec<_>> = layers.collect();
    params.layers = layers.context("the parameters lack layers of this genotype")?;
    Ok(())
}

/// What the numbers of an int8 network come from.
pub(crate) struct Sources<'a> {
    /// Training images.
    pub(crate) calibration: &'a Dataset,
    /// Of the golden set, none of [`Images::NONE`].
    pub(crate) golden: Images<'a>,
    pub(crate) normalization: &'a Normalization,
}

/// `network` with `params` in int8; its costs must be those predicted without training.
///
/// # Errors
/// Parameters, images and network do not fit together, or the network exceeds the format.
pub(crate) fn quantize(
    network: &Network,
    params: &NetworkParams,
    from: Sources<'_>,
    content: &Content,
) -> Result<Export> {
    let ranges = activation_ranges(
        network,
        params,
        train::learn_images(from.calibration, from.normalization),
        Device::Cpu,
    )?;
    let calibrated = Calibration {
        input: images::input(from.normalization),
        ranges: &ranges,
        images: images::images(from.calibration)?,
        golden: from.golden,
    };
    let made = export(network, params, calibrated, content)?;
    let predicted = cost_of_network(network, content)?;
    ensure!(
        predicted == made.costs,
        "the predicted costs {predicted:?} differ from the exported {:?}: please report this",
        made.costs
    );
    Ok(made)
}
