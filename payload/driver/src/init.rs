//! `cuInit` and what it makes: the process's driver.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};

use client::{Connection, Engine, fork::Epoch};
use wire::control::{self, Caller, NoteKind};
use wire::device::Description;

use crate::context::Context;
use crate::{CuResult, Cuda, device, lock, status};

/// One card that this process may use.
pub struct Device {
    /// Index that the supervisor knows it by.
    pub index: u32,
    /// Its facts.
    pub description: Box<Description>,
    /// The primary context while it is retained, and how often it is; its flags.
    pub primary: Mutex<Primary>,
}

/// State of a primary context.
#[derive(Default)]
pub struct Primary {
    /// Made at the first retain.
    pub context: Option<Arc<Context>>,
    /// Retains minus releases.
    pub count: u32,
    /// As set by `cuDevicePrimaryCtxSetFlags`.
    pub flags: u32,
}

/// The process's driver, from `cuInit` to its end.
pub struct Driver {
    connection: Connection,
    /// Visible devices in their order.
    pub devices: Vec<Device>,
    /// `cuDriverGetVersion`.
    pub version: u32,
    engine: Mutex<Option<Arc<Engine>>>,
    /// Indices of the devices that had a context.
    entered: Mutex<BTreeSet<u32>>,
    epoch: Epoch,
}

static DRIVER: OnceLock<Cuda<Driver>> = OnceLock::new();

/// `cuInit`
pub fn init(flags: u32) -> Cuda {
    if flags != 0 {
        return Err(CuResult::INVALID_VALUE);
    }
    let mut first = false;
    let driver = DRIVER.get_or_init(|| {
        first = true;
        connect()
    });
    let result = driver.as_ref().map(drop).map_err(|error| *error).and_then(|()| get().map(drop));
    if first {
        crate::note::tell(NoteKind::Initialised, i64::from(CuResult::code(result)), "cuInit");
    }
    result
}

fn connect() -> Cuda<Driver> {
    let connection = Connection::open(Caller::Driver).map_err(|_| CuResult::NO_DEVICE)?;
    let welcome = *connection.welcome();
    let indices: Vec<u32> = welcome.listed().collect();
    let mut descriptions = Vec::new();
    for &index in &indices {
        let order = control::DescribeDevice { index, reserved: 0 };
        descriptions.push(connection.call(&order).map_err(status)?);
    }
    let visible = device::visible(std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref(), &descriptions);
    if visible.is_empty() {
        return Err(CuResult::NO_DEVICE);
    }
    let devices = visible
        .into_iter()
        .map(|at| Device {
            index: indices[at],
            description: Box::new(descriptions[at]),
            primary: Mutex::default(),
        })
        .collect();
    Ok(Driver {
        connection,
        devices,
        version: welcome.cuda_version,
        engine: Mutex::new(None),
        entered: Mutex::default(),
        epoch: Epoch::mark(),
    })
}

/// The driver, if `cuInit` has succeeded in this process. A forked child gets what the real driver says to it.
pub fn get() -> Cuda<&'static Driver> {
    match DRIVER.get() {
        Some(Ok(driver)) if driver.epoch.holds() => Ok(driver),
        Some(Err(error)) => Err(*error),
        _ => Err(CuResult::NOT_INITIALIZED),
    }
}

/// The open connection, if there is one.
pub(crate) fn connection() -> Option<&'static Connection> {
    get().ok().map(|driver| &driver.connection)
}

/// `cuDriverGetVersion`: also without `cuInit`.
pub fn driver_version() -> u32 {
    match DRIVER.get() {
        Some(Ok(driver)) => driver.version,
        _ => Connection::open(Caller::Driver).map_or(13000, |connection| connection.welcome().cuda_version),
    }
}

impl Driver {
    /// The supervisor's line.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// A device by its ordinal.
    pub fn device(&self, ordinal: i32) -> Cuda<&Device> {
        usize::try_from(ordinal)
            .ok()
            .and_then(|index| self.devices.get(index))
            .ok_or(CuResult::INVALID_DEVICE)
    }

    /// The process's engine, started at the first context.
    pub fn engine(&self) -> Cuda<Arc<Engine>> {
        let mut engine = lock(&self.engine);
        if let Some(engine) = engine.as_ref() {
            return Ok(engine.clone());
        }
        let started = Arc::new(Engine::connect(&self.connection).map_err(status)?);
        *engine = Some(started.clone());
        Ok(started)
    }

    /// Says that there is a context on a device now. Precondition: the engine is started.
    pub fn enter(&self, ordinal: i32) -> Cuda {
        let index = self.device(ordinal)?.index;
        let mut entered = lock(&self.entered);
        if !entered.contains(&index) {
            self.connection.call(&control::EnterDevice { index, reserved: 0 }).map_err(status)?;
            entered.insert(index);
        }
        Ok(())
    }
}
