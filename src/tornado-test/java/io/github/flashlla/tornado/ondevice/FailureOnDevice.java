package io.github.flashlla.tornado.ondevice;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceException;
import io.github.flashlla.LlaInputs;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.Tensor;
import io.github.flashlla.tornado.LlaTasks;
import io.github.flashlla.tornado.buffers.FloatArrays;
import io.github.flashlla.tornado.support.TestDevice;
import io.github.flashlla.verify.Accuracy;
import io.github.flashlla.verify.RandomInputs;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import uk.ac.manchester.tornado.api.GridScheduler;
import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.TornadoExecutionResult;
import uk.ac.manchester.tornado.api.WorkerGrid;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/** Launches that go wrong without an exception of TornadoVM's: check tells of them, or the answer is right. */
public class FailureOnDevice {
    private static final AttentionShape SHAPE = new AttentionShape(1, 2, 2, 150, 150, 16, 16);
    private static final LlaOptions OPTIONS = LlaOptions.defaults();
    private static final String GRAPH = "failing";

    private final LlaInputs inputs = RandomInputs.normal(SHAPE, DataType.FLOAT32);
    private final FloatArray o = new FloatArray((int) inputs.q().size());
    private final GridScheduler grids = new GridScheduler();
    private LlaTasks lla;
    private TornadoExecutionPlan plan;

    @BeforeEach
    void build() {
        FloatArray q = array(inputs.q());
        FloatArray k = array(inputs.k());
        FloatArray v = array(inputs.v());
        lla = LlaTasks.of(TestDevice.NAME, SHAPE, OPTIONS, q, k, v, null, o);
        TaskGraph graph = new TaskGraph(GRAPH).transferToDevice(DataTransferMode.FIRST_EXECUTION, q, k, v, o);
        lla.appendTo(graph, grids);
        graph.transferToHost(DataTransferMode.EVERY_EXECUTION, o);
        plan = lla.configure(new TornadoExecutionPlan(graph.snapshot()));
    }

    @AfterEach
    void close() throws Exception {
        plan.close();
    }

    private static FloatArray array(Tensor tensor) {
        FloatArray array = new FloatArray((int) tensor.size());
        FloatArrays.load(tensor, array);
        return array;
    }

    /** A kernel that leaves part of its work undone. */
    @Test
    void fewerGroupsThanQueriesNeed() {
        WorkerGrid grid = grids.get(GRAPH + ".lla_forward");
        grid.setGlobalWork(Math.max(grid.getLocalWork()[0], grid.getGlobalWork()[0] / 2 / grid.getLocalWork()[0] * grid.getLocalWork()[0]),
                1, 1);
        plan.withGridScheduler(grids);
        refusedOrRight(plan.execute());
    }

    /** Launched once as it should be, a kernel that then does not run leaves the answer of the run before. */
    @Test
    void answersOfTheRunBeforeDoNotCount() {
        plan.withGridScheduler(grids);
        lla.check(plan.execute());
        assertRight();
        assertEquals(SHAPE.rows(), lla.iterations().length);
        grids.get(GRAPH + ".lla_forward").setGlobalWork(grids.get(GRAPH + ".lla_forward").getLocalWork()[0], 1, 1);
        refusedOrRight(plan.execute());
    }

    /** TornadoVM takes a scheduler that names any one of the tasks, and runs the others as a single thread. */
    @Test
    void schedulerThatKnowsOneTaskOnly() {
        assumeItsJvmSurvives();
        plan.withGridScheduler(new GridScheduler(GRAPH + ".lla_poison", grids.get(GRAPH + ".lla_poison")));
        refusedOrRight(plan.execute());
    }

    @Test
    void noScheduler() {
        assumeItsJvmSurvives();
        refusedOrRight(plan.execute());
    }

    /** Drivers that refuse groups which do not fill the grid say so on standard output alone; others launch what there is. */
    @Test
    void launchThatADriverMayRefuse() {
        assumeItsJvmSurvives();
        grids.get(GRAPH + ".lla_centre").setLocalWork(7, 1, 1);
        plan.withGridScheduler(grids);
        refusedOrRight(plan.execute());
    }

    private static void assumeItsJvmSurvives() {
        Assumptions.assumeFalse(TestDevice.NAME.startsWith("spirv"), "TornadoVM's SPIR-V backend ends its JVM over this launch");
    }

    private void refusedOrRight(TornadoExecutionResult result) {
        try {
            lla.check(result);
        } catch (DeviceException e) {
            assertTrue(e.getMessage().contains("did not compute query") || e.getMessage().contains("failed in its driver"),
                    e.getMessage());
            return;
        }
        assertRight();
    }

    private void assertRight() {
        Tensor found = Tensor.of(o.toHeapArray(), SHAPE.outputDims());
        double error = Accuracy.relativeError(found, TestDevice.expected(inputs, OPTIONS));
        assertTrue(error <= 1e-4, "off by " + error);
    }
}
