//! `cuGraph…`: the client checks what each graph computes.

use tests::launch;

use crate::alone;

#[test]
fn graphs_compute_what_their_nodes_and_edges_say() {
    let _alone = alone();
    launch("graphs")
        .options(["--gpu", "gtx1080"])
        .real_payload()
        .run()
        .assert_exit(0)
        .assert_stdout("right\n");
}
