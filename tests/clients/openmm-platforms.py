"""OpenMM's CUDA platform against its Reference platform, which is plain C++ on the CPU: energies, forces and short trajectories."""
import numpy as np
import openmm as mm
from openmm import unit

from cases import case, lacking, run

random = np.random.default_rng(11)
SIDE = 5
SPACING = 0.45
PLACES = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) * SPACING + random.random((SIDE**3, 3)) * 0.06
COUNT = len(PLACES)
BOX = SIDE * SPACING


def particles(mass=30.0, periodic=True):
    system = mm.System()
    if periodic:
        system.setDefaultPeriodicBoxVectors(mm.Vec3(BOX, 0, 0), mm.Vec3(0, BOX, 0), mm.Vec3(0, 0, BOX))
    for _ in range(COUNT):
        system.addParticle(mass)
    return system


def nonbonded(system, method, charge=0.3, cutoff=0.9):
    force = mm.NonbondedForce()
    force.setNonbondedMethod(method)
    force.setCutoffDistance(cutoff)
    for i in range(COUNT):
        force.addParticle(charge if i % 2 else -charge if i + 1 < COUNT or COUNT % 2 == 0 else 0.0, 0.28 + 0.02 * (i % 3), 0.4 + 0.1 * (i % 2))
    system.addForce(force)
    return force


def context(system, platform, integrator, precision):
    properties = {"Precision": precision} if platform == "CUDA" else {}
    made = mm.Context(system, integrator, mm.Platform.getPlatformByName(platform), properties)
    made.setPositions(PLACES[: system.getNumParticles()])
    return made


def state(made):
    got = made.getState(getEnergy=True, getForces=True, getPositions=True)
    length, energy = unit.nanometer, unit.kilojoule_per_mole
    forces = got.getForces(asNumpy=True).value_in_unit(energy / length)
    return got.getPotentialEnergy().value_in_unit(energy), forces, got.getPositions(asNumpy=True).value_in_unit(length)


def agree(system, precision="mixed", steps=0, integrator=lambda: mm.VerletIntegrator(0.001), tolerance=2e-4):
    """The same energy and forces on both platforms, and the same places after some steps."""
    found = []
    for platform in ("Reference", "CUDA"):
        made = context(system, platform, integrator(), precision)
        energy, forces, _ = state(made)
        made.getIntegrator().step(steps)
        found.append((energy, forces, state(made)[2]))
        del made
    (energy, forces, places), (cuda_energy, cuda_forces, cuda_places) = found
    scale = max(1.0, np.abs(forces).max())
    assert abs(energy - cuda_energy) <= tolerance * max(1.0, abs(energy)), (energy, cuda_energy)
    assert np.abs(forces - cuda_forces).max() <= tolerance * scale, (np.abs(forces - cuda_forces).max(), scale)
    assert np.abs(places - cuda_places).max() <= 1e-4, np.abs(places - cuda_places).max()


def bonds(system):
    force = mm.HarmonicBondForce()
    for i in range(0, COUNT - 1):
        force.addBond(i, i + 1, 0.4, 500 + i)
    system.addForce(force)


@case
def particles_with_cutoff():
    system = particles()
    nonbonded(system, mm.NonbondedForce.CutoffPeriodic)
    agree(system, steps=20)


@case
def single_precision():
    system = particles()
    nonbonded(system, mm.NonbondedForce.CutoffPeriodic)
    agree(system, "single", tolerance=1e-3)


@case
def double_precision():
    system = particles()
    nonbonded(system, mm.NonbondedForce.CutoffPeriodic)
    agree(system, "double", tolerance=1e-6)


@case
def particles_without_cutoff():
    system = particles(periodic=False)
    nonbonded(system, mm.NonbondedForce.NoCutoff)
    agree(system, steps=10)


@case
def ewald_sum():
    system = particles()
    nonbonded(system, mm.NonbondedForce.Ewald)
    agree(system, tolerance=2e-3)


# By cuFFT, which is machine code.
@lacking("Error initializing FFT")
def particle_mesh_ewald():
    system = particles()
    nonbonded(system, mm.NonbondedForce.PME)
    agree(system, steps=5, tolerance=2e-3)


# By cuFFT, which is machine code.
@lacking("Error initializing FFT")
def dispersion_by_a_mesh():
    system = particles()
    nonbonded(system, mm.NonbondedForce.LJPME)
    agree(system, tolerance=2e-3)


@case
def exceptions_between_neighbours():
    system = particles()
    force = nonbonded(system, mm.NonbondedForce.CutoffPeriodic)
    for i in range(COUNT - 1):
        force.addException(i, i + 1, 0.05, 0.3, 0.2 if i % 3 else 0.0)
    agree(system)


@case
def bonds_angles_and_torsions():
    system = particles(periodic=False)
    bonds(system)
    angles, torsions, other = mm.HarmonicAngleForce(), mm.PeriodicTorsionForce(), mm.RBTorsionForce()
    for i in range(COUNT - 3):
        angles.addAngle(i, i + 1, i + 2, 1.9, 40.0)
        torsions.addTorsion(i, i + 1, i + 2, i + 3, 1 + i % 3, 0.3, 4.0)
        other.addTorsion(i, i + 1, i + 2, i + 3, 0.1, 0.2, 0.3, 0.1, 0.05, 0.02)
    for force in (angles, torsions, other):
        system.addForce(force)
    agree(system, steps=20)


@case
def torsion_maps():
    system = particles(periodic=False)
    force, n = mm.CMAPTorsionForce(), 12
    angle = np.arange(n) * 2 * np.pi / n
    force.addMap(n, (np.sin(angle)[:, None] * np.cos(2 * angle)[None, :]).ravel().tolist())
    for i in range(0, COUNT - 8, 8):
        force.addTorsion(0, *range(i, i + 4), *range(i + 4, i + 8))
    system.addForce(force)
    agree(system)


@case
def implicit_solvent():
    system = particles(periodic=False)
    nonbonded(system, mm.NonbondedForce.NoCutoff)
    force = mm.GBSAOBCForce()
    for i in range(COUNT):
        force.addParticle(0.3 if i % 2 else -0.3, 0.15 + 0.01 * (i % 4), 0.8)
    system.addForce(force)
    agree(system, tolerance=1e-3)


@case
def expressions_between_pairs():
    system = particles()
    force = mm.CustomNonbondedForce("scale*exp(-r/width)+step(r-0.5)*sin(r)^2; scale=sqrt(s1*s2); width=0.2")
    force.addPerParticleParameter("s")
    force.setNonbondedMethod(mm.CustomNonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(0.9)
    for i in range(COUNT):
        force.addParticle([1.0 + i % 5])
    system.addForce(force)
    agree(system)


@case
def expressions_on_bonds_angles_and_torsions():
    system = particles(periodic=False)
    stretch, bend, turn = mm.CustomBondForce("k*(r-r0)^4"), mm.CustomAngleForce("k*(theta-1.5)^2+cos(theta)"), mm.CustomTorsionForce("k*(1+cos(2*theta-0.4))")
    stretch.addGlobalParameter("r0", 0.4)
    for force in (stretch, bend, turn):
        getattr(force, {mm.CustomBondForce: "addPerBondParameter", mm.CustomAngleForce: "addPerAngleParameter"}.get(type(force), "addPerTorsionParameter"))("k")
        system.addForce(force)
    for i in range(COUNT - 3):
        stretch.addBond(i, i + 1, [100.0 + i])
        bend.addAngle(i, i + 1, i + 2, [20.0])
        turn.addTorsion(i, i + 1, i + 2, i + 3, [3.0])
    agree(system, steps=10)


@case
def expressions_with_tables():
    system = particles()
    force = mm.CustomNonbondedForce("table(r)*kinds(k1,k2)")
    force.addTabulatedFunction("table", mm.Continuous1DFunction(np.exp(-np.linspace(0, 4, 40)).tolist(), 0.0, 1.0))
    force.addTabulatedFunction("kinds", mm.Discrete2DFunction(2, 2, [1.0, 0.5, 0.5, 2.0]))
    force.addPerParticleParameter("k")
    force.setNonbondedMethod(mm.CustomNonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(0.9)
    for i in range(COUNT):
        force.addParticle([i % 2])
    system.addForce(force)
    agree(system)


@case
def external_fields():
    system = particles(periodic=False)
    force = mm.CustomExternalForce("k*((x-1)^2+0.5*y^4)+sin(z)")
    force.addPerParticleParameter("k")
    for i in range(COUNT):
        force.addParticle(i, [10.0 + i % 7])
    system.addForce(force)
    agree(system, steps=20)


@case
def generalised_born_by_expression():
    system = particles(periodic=False)
    force = mm.CustomGBForce()
    force.addPerParticleParameter("q")
    force.addComputedValue("I", "0.1/(r+0.2)", mm.CustomGBForce.ParticlePair)
    force.addComputedValue("B", "1/(1+I)", mm.CustomGBForce.SingleParticle)
    force.addEnergyTerm("-q^2/B", mm.CustomGBForce.SingleParticle)
    force.addEnergyTerm("-q1*q2/sqrt(r^2+B1*B2)", mm.CustomGBForce.ParticlePair)
    for i in range(COUNT):
        force.addParticle([0.3 if i % 2 else -0.3])
    system.addForce(force)
    agree(system, tolerance=1e-3)


@case
def bodies_of_three():
    system = particles()
    force = mm.CustomManyParticleForce(3, "C*(1+3*cos(theta1)*cos(theta2)*cos(theta3))/(r12*r13*r23)^3; theta1=angle(p1,p2,p3); theta2=angle(p2,p3,p1); theta3=angle(p3,p1,p2); r12=distance(p1,p2); r13=distance(p1,p3); r23=distance(p2,p3)")
    force.addGlobalParameter("C", 1e-4)
    force.setNonbondedMethod(mm.CustomManyParticleForce.CutoffPeriodic)
    force.setCutoffDistance(0.6)
    force.setPermutationMode(mm.CustomManyParticleForce.SinglePermutation)
    for _ in range(COUNT):
        force.addParticle([])
    system.addForce(force)
    agree(system, tolerance=1e-3)


@case
def groups_and_their_centres():
    system = particles(periodic=False)
    force = mm.CustomCentroidBondForce(2, "0.5*k*distance(g1,g2)^2")
    force.addPerBondParameter("k")
    for start in range(0, COUNT - 10, 10):
        force.addGroup(list(range(start, start + 10)))
    for i in range(force.getNumGroups() - 1):
        force.addBond([i, i + 1], [50.0])
    system.addForce(force)
    agree(system, steps=10)


def chain_of_constraints(system):
    for i in range(0, COUNT - 2, 3):
        for a, b in ((i, i + 1), (i, i + 2)):
            system.addConstraint(a, b, float(np.linalg.norm(PLACES[a] - PLACES[b])))


@case
def constraints():
    system = particles()
    nonbonded(system, mm.NonbondedForce.CutoffPeriodic)
    chain_of_constraints(system)
    agree(system, steps=10)


@case
def virtual_sites():
    system = mm.System()
    for i in range(COUNT):
        system.addParticle(0.0 if i % 3 == 2 else 20.0)
        if i % 3 == 2:
            system.setVirtualSite(i, mm.TwoParticleAverageSite(i - 2, i - 1, 0.4, 0.6))
    force = mm.NonbondedForce()
    for i in range(COUNT):
        force.addParticle(0.2 if i % 3 == 2 else -0.1, 0.3, 0.0 if i % 3 == 2 else 0.5)
        for other in range(i - i % 3, i):
            force.addException(other, i, 0, 1, 0)
    system.addForce(force)
    agree(system, steps=10, tolerance=1e-3)


@case
def integrators_without_chance():
    system = particles()
    nonbonded(system, mm.NonbondedForce.CutoffPeriodic)

    def leap():
        made = mm.CustomIntegrator(0.001)
        for line in (("v", "v+0.5*dt*f/m"), ("x", "x+dt*v"), ("v", "v+0.5*dt*f/m")):
            made.addComputePerDof(*line)
        return made

    agree(system, steps=10, integrator=leap)
    agree(system, steps=5, integrator=lambda: mm.VariableVerletIntegrator(1e-4))


@case
def multiple_time_steps():
    system = particles()
    nonbonded(system, mm.NonbondedForce.CutoffPeriodic).setForceGroup(1)
    bonds(system)

    def integrator():
        made = mm.CustomIntegrator(0.002)
        made.addComputePerDof("v", "v+0.5*dt*f1/m")
        for _ in range(2):
            made.addComputePerDof("v", "v+0.25*dt*f0/m")
            made.addComputePerDof("x", "x+0.5*dt*v")
            made.addComputePerDof("v", "v+0.25*dt*f0/m")
        made.addComputePerDof("v", "v+0.5*dt*f1/m")
        return made

    agree(system, steps=5, integrator=integrator)


def temperature(integrator, steps=150, system=None):
    system = system or particles()
    if not system.getNumForces():
        nonbonded(system, mm.NonbondedForce.CutoffPeriodic)
    made = context(system, "CUDA", integrator, "mixed")
    made.setVelocitiesToTemperature(300, 3)
    mean = []
    for _ in range(10):
        made.getIntegrator().step(steps // 10)
        kinetic = made.getState(getEnergy=True).getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)
        mean.append(2 * kinetic / (3 * COUNT * 8.31446e-3))
    return np.mean(mean)


@case
def thermostats_keep_the_temperature():
    for integrator in (mm.LangevinMiddleIntegrator(300, 10, 0.002), mm.NoseHooverIntegrator(300, 50, 0.002)):
        found = temperature(integrator)
        assert 220 < found < 420, (type(integrator), found)


@case
def brownian_motion_diffuses():
    system = particles(periodic=False)
    made = context(system, "CUDA", mm.BrownianIntegrator(300, 50.0, 0.002), "mixed")
    made.getIntegrator().step(100)
    moved = ((state(made)[2] - PLACES) ** 2).sum(axis=1).mean()
    expected = 6 * 8.31446e-3 * 300 / (30.0 * 50.0) * 100 * 0.002
    assert 0.7 * expected < moved < 1.4 * expected, (moved, expected)


@case
def barostat_changes_the_box():
    system = particles()
    nonbonded(system, mm.NonbondedForce.CutoffPeriodic)
    system.addForce(mm.MonteCarloBarostat(500, 300, 5))
    made = context(system, "CUDA", mm.LangevinMiddleIntegrator(300, 5, 0.002), "mixed")
    before = made.getState().getPeriodicBoxVolume()
    made.getIntegrator().step(100)
    assert made.getState().getPeriodicBoxVolume() != before


@case
def minimisation():
    found = []
    for platform in ("Reference", "CUDA"):
        system = particles(periodic=False)
        bonds(system)
        made = context(system, platform, mm.VerletIntegrator(0.001), "mixed")
        mm.LocalEnergyMinimizer.minimize(made, 0.1)
        found.append(state(made)[0])
        del made
    assert abs(found[0] - found[1]) < 1e-2, found


@case
def checkpoints():
    system = particles()
    nonbonded(system, mm.NonbondedForce.CutoffPeriodic)
    made = context(system, "CUDA", mm.LangevinMiddleIntegrator(300, 5, 0.002), "mixed")
    made.getIntegrator().step(10)
    kept = made.createCheckpoint()
    made.getIntegrator().step(10)
    first = state(made)[2]
    made.loadCheckpoint(kept)
    made.getIntegrator().step(10)
    np.testing.assert_allclose(state(made)[2], first, atol=1e-5)


@case
def drude_oscillators():
    system = mm.System()
    force, drude = mm.NonbondedForce(), mm.DrudeForce()
    for i in range(0, 60, 2):
        system.addParticle(20.0)
        system.addParticle(0.4)
        force.addParticle(0.5, 0.3, 0.5)
        force.addParticle(-0.5, 1.0, 0.0)
        force.addException(i, i + 1, 0, 1, 0)
        drude.addParticle(i + 1, i, -1, -1, -1, -0.5, 0.001, 1, 1)
    system.addForce(force)
    system.addForce(drude)
    global PLACES
    whole = PLACES
    PLACES = np.repeat(whole[:30], 2, axis=0) + np.tile([[0, 0, 0], [0.01, 0, 0]], (30, 1))
    try:
        agree(system, tolerance=1e-3)
    finally:
        PLACES = whole


run("cases agree with the Reference platform")
