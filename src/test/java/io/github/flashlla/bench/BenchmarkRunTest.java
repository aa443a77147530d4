package io.github.flashlla.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.flashlla.AttentionShape;
import io.github.flashlla.DataType;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.process.JavaCommand;
import io.github.flashlla.bench.host.HostConditions;
import io.github.flashlla.record.BenchmarkRecord;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.RecordFile;
import io.github.flashlla.record.Status;
import io.github.flashlla.tornadovm.DeviceJvm;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What devices do to a benchmark stays with the row that they did it in. */
@Timeout(600)
class BenchmarkRunTest {
    private static final Protocol QUICK = new Protocol(2, 0, 0.05, 60);

    @TempDir
    Path folder;

    @Test
    void killedProcessCostsOneRow() {
        DeviceInfo jvm = Devices.list().stream().filter(device -> device.name().equals("jvm")).findFirst().orElseThrow();
        List<Task> tasks = tasks(32, 64, 96);
        BenchmarkListener killer = new BenchmarkListener() {
            @Override
            public void started(String device, Task task, long pid) {
                if (task.shape().queryLength() == 64) {
                    ProcessHandle.of(pid).orElseThrow().destroyForcibly();
                }
            }
        };
        BenchmarkRecord record = new BenchmarkRun(new Suite("killed", null, tasks, QUICK), List.of(jvm), killer).run();

        assertEquals(List.of(Status.OK, Status.CRASHED, Status.OK), statuses(record));
        Measurement lost = record.measurements().get(1);
        assertEquals(64, lost.workload().queryLength());
        assertTrue(lost.message().contains("signal 9"), lost.message());
        assertNull(lost.times());
        assertTrue(record.complete());
        assertTrue(record.device("jvm").orElseThrow().ceilings().fmaTflops() > 0);

        Path file = folder.resolve("record.json");
        RecordFile.write(file, record);
        List<String> notes = new ArrayList<>();
        BenchmarkRecord read = RecordFile.read(file, notes::add);
        assertEquals(List.of(), notes);
        assertEquals(record.measurements().get(0).times().medianNs(), read.measurements().get(0).times().medianNs());
        assertEquals(statuses(record), statuses(read));
    }

    @Test
    void forksTakeTurnsAndTheirSamplesAreOneMeasurement() {
        List<DeviceInfo> devices = Devices.list().stream().filter(device -> List.of("jvm", "reference").contains(device.name())).toList();
        List<String> order = new ArrayList<>();
        BenchmarkListener listener = new BenchmarkListener() {
            @Override
            public void opening(String device) {
                order.add(device);
            }
        };
        BenchmarkRecord record = new BenchmarkRun(new Suite("forks", null, tasks(16), QUICK.withForks(2)), devices, listener)
                .under(HostConditions.begin(List.of("flashlla", "bench"))).run();
        assertEquals(List.of("jvm", "reference", "jvm", "reference"), order);
        assertEquals(2, record.measurements().size());
        for (Measurement m : record.measurements()) {
            assertEquals(Status.OK, m.status(), m.message());
            assertEquals(4, m.times().wallNs().length);
            assertArrayEquals(new int[] {2, 2}, m.times().processRuns());
            assertEquals(2, m.times().processMedians(m.times().wallNs()).length);
        }
        assertEquals(List.of("flashlla", "bench"), record.conditions().argv());
        assertTrue(record.conditions().loadBefore() >= 0 && record.conditions().loadAfter() >= 0);

        Path file = folder.resolve("forks.json");
        RecordFile.write(file, record);
        BenchmarkRecord read = RecordFile.read(file, note -> { });
        assertEquals(record.conditions(), read.conditions());
        assertArrayEquals(new int[] {2, 2}, read.measurements().getFirst().times().processRuns());
    }

    @Test
    void crashSaysWhatTheDriverSaid() {
        BenchmarkRecord record = run(QUICK, "crash");
        assertEquals(List.of(Status.OK, Status.CRASHED, Status.OK), statuses(record));
        String message = record.measurements().get(1).message();
        assertTrue(message.contains("status 77") && message.contains("lost the device"), message);
    }

    @Test
    void hangIsStoppedAtItsTimeLimit() {
        BenchmarkRecord record = run(new Protocol(2, 0, 0.05, 4), "hang");
        assertEquals(List.of(Status.OK, Status.TIMEOUT, Status.OK), statuses(record));
        assertTrue(record.measurements().get(1).message().contains("4 s"), record.measurements().get(1).message());
    }

    @Test
    void failureIsARowWithTheDevicesWords() {
        BenchmarkRecord record = run(QUICK, "fail");
        assertEquals(List.of(Status.OK, Status.FAILED, Status.OK), statuses(record));
        assertEquals("launch failed with error -5", record.measurements().get(1).message());
    }

    @Test
    void wrongAnswersAreNeverTimed() {
        for (String fault : List.of("wrong", "nan", "late")) {
            BenchmarkRecord record = run(QUICK, fault);
            assertEquals(List.of(Status.OK, Status.WRONG, Status.OK), statuses(record), fault);
            Measurement wrong = record.measurements().get(1);
            assertNull(wrong.times(), fault);
            assertNull(wrong.rates(), fault);
            assertFalse(wrong.accuracy().passed(), fault);
        }
    }

    @Test
    void deviceThatDoesNotOpenLeavesTheOthers() {
        BenchmarkRecord record = run(QUICK, "unopenable", "fail");
        List<Measurement> unopened = record.measurements().subList(0, 3);
        assertTrue(unopened.stream().allMatch(m -> m.status() == Status.FAILED
                && m.message().equals("the driver is older than its library")), unopened.toString());
        assertEquals(Status.OK, record.measurements().get(3).status());
        assertNotNull(record.device("faulty:unopenable").orElse(null));
    }

    @Test
    void deviceWhoseProcessDiesWhileOpeningGetsAnother() {
        BenchmarkRecord once = new BenchmarkRun(new Suite("faulty", null, tasks(32, 64), QUICK), devices("lateborn"), new BenchmarkListener() { },
                device -> faultyJava(device).with(List.of("-D" + FaultyDeviceProvider.MARK + "=" + folder.resolve("mark")))).run();
        assertEquals(List.of(Status.OK, Status.OK), statuses(once));

        BenchmarkRecord always = run(QUICK, "deadborn");
        assertEquals(List.of(Status.CRASHED, Status.CRASHED, Status.CRASHED), statuses(always));
        String message = always.measurements().getFirst().message();
        assertTrue(message.contains("status 78") && message.contains("before the device was open") && message.contains("3 times"), message);
    }

    @Test
    void stopKeepsWhatIsDone() {
        BenchmarkRun[] run = new BenchmarkRun[1];
        BenchmarkListener stopper = new BenchmarkListener() {
            @Override
            public void started(String device, Task task, long pid) {
                if (task.shape().queryLength() == 64) {
                    run[0].stop();
                }
            }
        };
        run[0] = new BenchmarkRun(new Suite("stopped", null, tasks(32, 64, 96), QUICK), devices("crash"), stopper,
                BenchmarkRunTest::faultyJava);
        BenchmarkRecord record = run[0].run();
        assertEquals(List.of(Status.OK), statuses(record));
        assertFalse(record.complete());
    }

    private static BenchmarkRecord run(Protocol protocol, String... faults) {
        return new BenchmarkRun(new Suite("faulty", null, tasks(32, FaultyDeviceProvider.FATAL_LENGTH, 64), protocol),
                devices(faults), new BenchmarkListener() { }, BenchmarkRunTest::faultyJava).run();
    }

    private static List<DeviceInfo> devices(String... faults) {
        return List.of(faults).stream().map(FaultyDeviceProvider::info).toList();
    }

    private static JavaCommand faultyJava(DeviceInfo device) {
        return DeviceJvm.of(device).with(List.of("-D" + FaultyDeviceProvider.PROPERTY + "=true"));
    }

    private static List<Task> tasks(int... lengths) {
        LlaOptions options = LlaOptions.defaults().withTolerance(1e-3);
        return IntStream.of(lengths).mapToObj(length -> new Task(Mode.FWD, AttentionShape.square(1, 2, length, 16),
                options, DataType.FLOAT32)).toList();
    }

    private static List<Status> statuses(BenchmarkRecord record) {
        return record.measurements().stream().map(Measurement::status).toList();
    }
}
