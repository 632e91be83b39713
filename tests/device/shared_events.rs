//! Events that processes share: `tests/targets/shared_events.c` is the client.

use tests::launch;

use crate::alone;

fn check(part: &str) {
    let _alone = alone();
    let run = launch("shared_events").arguments([part]).options(["--gpu", "gtx1080"]).real_payload().run();
    run.assert_exit(0).assert_stdout("ok\n");
}

#[test]
fn work_of_one_process_waits_for_work_of_another() {
    check("in-turn");
}

#[test]
fn record_of_a_killed_process_holds_nobody_up() {
    check("killed");
}
