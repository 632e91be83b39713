//! How the chip is built: its clusters of multiprocessors, its engines.

use nvidia_abi::{control, status};

use super::{Command, Handler};

pub(super) const HANDLERS: &[(u32, Handler)] = &[
    (control::NV2080_CTRL_CMD_GPU_GET_ENGINES_V2, engines),
    (control::NV2080_CTRL_CMD_GR_GET_GPC_MASK, graphics_clusters),
    (control::NV2080_CTRL_CMD_GR_GET_TPC_MASK, texture_clusters),
    (control::NV2080_CTRL_CMD_GR_GET_GLOBAL_SM_ORDER, multiprocessor_order),
    (control::NV2080_CTRL_CMD_GRMGR_GET_GR_FS_INFO, floor_sweeping),
];

/// Multiprocessors of a texture processing cluster.
const MULTIPROCESSORS: u64 = 2;

fn engines(command: &mut Command) -> Result<(), u32> {
    let facts = command.card()?.facts.clone();
    command.parameters.set("engineCount", facts.engines.len() as u64);
    for (at, engine) in facts.engines.iter().enumerate() {
        command.parameters.set_element("engineList", at, *engine);
    }
    Ok(())
}

fn graphics_clusters(command: &mut Command) -> Result<(), u32> {
    let count = command.card()?.facts.gpcs.len();
    command.parameters.set("gpcMask", (1_u64 << count) - 1);
    Ok(())
}

fn texture_clusters(command: &mut Command) -> Result<(), u32> {
    let gpc = command.parameters.word("gpcId") as usize;
    let mask = command.card()?.facts.gpcs.get(gpc).ok_or(status::NV_ERR_INVALID_ARGUMENT)?.mask;
    command.parameters.set("tpcMask", mask);
    Ok(())
}

fn multiprocessor_order(command: &mut Command) -> Result<(), u32> {
    let facts = command.card()?.facts.clone();
    let parameters = &mut command.parameters;
    for (global, cluster) in facts.clusters.iter().enumerate() {
        for multiprocessor in 0..MULTIPROCESSORS {
            let at = global * MULTIPROCESSORS as usize + multiprocessor as usize;
            let fields: [(&str, u64); 9] = [
                ("gpcId", cluster.gpc.into()),
                ("localTpcId", cluster.tpc.into()),
                ("localSmId", multiprocessor),
                ("globalTpcId", global as u64),
                ("virtualGpcId", cluster.virtual_gpc.into()),
                ("migratableTpcId", cluster.migratable.into()),
                ("ugpuId", cluster.partition.into()),
                ("physicalCpcId", cluster.cpc.into()),
                ("virtualTpcId", cluster.virtual_tpc.into()),
            ];
            for (field, value) in fields {
                parameters.set_element(&format!("globalSmId.{field}"), at, value);
            }
        }
    }
    parameters.set("numSm", facts.clusters.len() as u64 * MULTIPROCESSORS);
    parameters.set("numTpc", facts.clusters.len() as u64);
    Ok(())
}

/// A list of questions, each with a status of its own.
fn floor_sweeping(command: &mut Command) -> Result<(), u32> {
    const GPC_COUNT: u32 = 1;
    const CHIPLET_OF_GPC: u32 = 2;
    const TPC_MASK: u32 = 3;
    let facts = command.card()?.facts.clone();
    let parameters = &mut command.parameters;
    let count = parameters.word("numQueries") as usize;
    if count > parameters.len("queries.queryType") {
        return Err(status::NV_ERR_INVALID_ARGUMENT);
    }
    for at in 0..count {
        let gpc =
            facts.gpcs.get(parameters.element("queries.queryData.chipletGpcMapData.gpcId", at) as usize);
        let answer = match (parameters.element("queries.queryType", at), gpc) {
            (GPC_COUNT, _) => Some(("queries.queryData.gpcCountData.gpcCount", facts.gpcs.len() as u32)),
            (CHIPLET_OF_GPC, Some(gpc)) => {
                Some(("queries.queryData.chipletGpcMapData.chipletGpcMap", gpc.chiplet))
            }
            (TPC_MASK, Some(gpc)) => Some(("queries.queryData.tpcMaskData.tpcMask", gpc.mask)),
            _ => None,
        };
        match answer {
            Some((field, value)) => {
                parameters.set_element(field, at, value);
                parameters.set_element("queries.status", at, status::NV_OK);
            }
            None => parameters.set_element("queries.status", at, status::NV_ERR_INVALID_ARGUMENT),
        }
    }
    Ok(())
}
