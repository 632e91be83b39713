"""Examples that Taichi itself ships (taichi/examples), without a window: what they would draw is what the backends must agree on.

A stand-in for `ti.GUI` ends the program after some frames and keeps the arrays of the last one. Where an example starts from
random numbers, which differ between backends, it is started from numpy's instead.
"""
import importlib
import random
import time

import numpy as np
import taichi as ti

from registry import case

TOLERANCE = {}


class Over(Exception):
    pass


class Window:
    """As much of `ti.GUI` as the examples use."""

    frames = 3
    drawn = []
    ESCAPE, EXIT, SPACE, LMB, RMB, PRESS, RELEASE = "Escape", "WMClose", " ", "LMB", "RMB", "press", "release"

    def __init__(self, *_, **__):
        self.running, self.frame, self.left = True, 0, Window.frames
        Window.drawn = []

    def keep(self, what):
        array = what.to_numpy() if hasattr(what, "to_numpy") else np.asarray(what)
        Window.drawn.append(array.astype(np.float64).ravel())

    def set_image(self, image):
        self.keep(image)

    def circles(self, positions, **_):
        self.keep(positions)

    def arrows(self, places, directions, **_):
        self.keep(directions)

    def lines(self, begin, end, **_):
        self.keep(begin)
        self.keep(end)

    def triangles(self, a, b, c, **_):
        self.keep(a)

    def get_event(self, *_):
        return False

    def get_events(self, *_):
        return []

    def is_pressed(self, *_):
        return False

    def get_cursor_pos(self):
        return 0.5, 0.5

    def clear(self, *_, **__):
        pass

    circle = line = rect = text = clear

    def show(self, *_):
        self.frame, self.left = self.frame + 1, self.left - 1
        if self.left <= 0:
            raise Over
        Window.drawn = []


def loaded(name, **changes):
    """The example's module, on the backend that is started already."""
    init, ti.init, ti.GUI = ti.init, lambda *_, **__: None, Window
    Window.drawn = []
    random.seed(7)
    np.random.seed(7)
    time.perf_counter = time.time = lambda: 100.0
    time.time_ns = lambda: 10**11
    try:
        module = importlib.import_module(f"taichi.examples.{name}")
    except Over:
        module = None
    finally:
        ti.init = init
    for attribute, value in changes.items():
        setattr(module, attribute, value)
    return module


def drawn(module, frames=3):
    Window.frames = frames
    if module is not None and hasattr(module, "main"):
        try:
            module.main()
        except Over:
            pass
    assert Window.drawn, "nothing was drawn"
    return np.concatenate(Window.drawn)


def example(path, frames=2, tolerance=None):
    """An example as it is."""
    def run():
        Window.frames = frames
        return drawn(loaded(path), frames)

    run.__name__ = "example_" + path.rsplit(".", 1)[1]
    if tolerance:
        TOLERANCE[run.__name__] = tolerance
    case(run)


for path in ("simulation.fractal", "simulation.waterwave", "rendering.taichi_logo", "rendering.simple_uv", "rendering.rasterizer",
             "features.sparse.taichi_bitmasked", "features.sparse.taichi_sparse", "simulation.initial_value_problem",
             "algorithm.marching_squares"):
    example(path)
TOLERANCE["example_fractal"] = dict(rtol=0, atol=0.05, share=0.01)
TOLERANCE["example_taichi_logo"] = dict(rtol=0, atol=0.01, share=0.01)
TOLERANCE["example_rasterizer"] = dict(rtol=0, atol=0.01, share=0.01)
TOLERANCE["example_marching_squares"] = dict(rtol=1e-2, atol=1e-2, share=0.01)
TOLERANCE["example_taichi_sparse"] = dict(rtol=0, atol=0.01, share=0.01)


def numbers(*shape):
    return np.random.default_rng(5).random(shape, dtype=np.float32)


@case
def example_game_of_life():
    module = loaded("simulation.game_of_life")
    module.alive.from_numpy((numbers(64, 64) > 0.8).astype(np.int32))
    for _ in range(20):
        module.run()
    return module.alive.to_numpy()


@case
def example_mpm99():
    module = loaded("simulation.mpm99")
    n = module.n_particles
    group = np.arange(n) // module.group_size
    module.x.from_numpy((numbers(n, 2) * 0.2 + np.stack([0.3 + 0.1 * group, 0.05 + 0.32 * group], axis=1)).astype(np.float32))
    module.material.from_numpy(group.astype(np.int32))
    module.F.from_numpy(np.tile(np.eye(2, dtype=np.float32), (n, 1, 1)))
    module.Jp.fill(1)
    for _ in range(4):
        module.substep()
    return np.concatenate([module.x.to_numpy().ravel(), module.grid_m.to_numpy().ravel() * 1e3])


@case
def example_mpm3d():
    module = loaded("simulation.mpm3d")
    n = min(module.n_particles, 8192)
    places = np.full((module.n_particles, 3), 0.5, dtype=np.float32)
    places[:n] = numbers(n, 3) * 0.4 + 0.15
    module.F_x.from_numpy(places)
    module.F_J.fill(1)
    module.substep()
    return module.F_x.to_numpy()


@case
def example_fem99():
    return drawn(loaded("simulation.fem99"), 2)


@case
def example_nbody():
    module = loaded("simulation.nbody")
    angle = numbers(module.N) * 2 * np.pi
    offset = 0.3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    module.pos.from_numpy((0.5 + offset * (0.5 + numbers(module.N)[:, None])).astype(np.float32))
    module.vel.from_numpy((np.stack([-offset[:, 1], offset[:, 0]], axis=1) * module.init_vel).astype(np.float32))
    module.compute_force()
    module.update()
    return module.pos.to_numpy()


@case
def example_ad_gravity():
    module = loaded("simulation.ad_gravity")
    module.x.from_numpy(numbers(module.N, 2))
    for _ in range(20):
        module.substep()
    return np.concatenate([module.x.to_numpy().ravel(), module.v.to_numpy().ravel()])


@case
def example_vortex_rings():
    module = loaded("simulation.vortex_rings")
    shape = module.tracer.shape[0]
    module.tracer.from_numpy((numbers(shape, 2) * [1, 3] - [0.5, 1.5]).astype(np.float32))
    module.init_tracers = lambda: None
    # The rings' own place is set where the tracers are.
    if hasattr(module, "pos"):
        module.pos.from_numpy(np.array([[0, 1], [0, -1], [0, 0.3], [0, -0.3]], dtype=np.float32)[: module.pos.shape[0]])
    module.advect()
    module.integrate_vortex()
    return module.tracer.to_numpy()


@case
def example_laplace():
    module = loaded("algorithm.laplace")
    module.main()
    return np.concatenate([module.x.to_numpy().ravel(), module.y.to_numpy().ravel()])


@case
def example_taichi_dynamic():
    module = loaded("features.sparse.taichi_dynamic")
    module.main()
    return module.l.to_numpy()


@case
def example_minimization():
    module = loaded("autodiff.minimization")
    module.main()
    return np.concatenate([module.x.to_numpy(), module.y.to_numpy()])


TOLERANCE["example_mpm99"] = dict(rtol=1e-3, atol=1e-4, share=0.001)
TOLERANCE["example_mpm3d"] = dict(rtol=1e-3, atol=1e-4, share=0.001)
TOLERANCE["example_fem99"] = dict(rtol=1e-2, atol=1e-3, share=0.01)
