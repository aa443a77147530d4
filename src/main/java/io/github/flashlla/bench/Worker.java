package io.github.flashlla.bench;

import io.github.flashlla.Device;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.Devices;
import io.github.flashlla.bench.host.EnergyMeter;
import io.github.flashlla.bench.host.HostCeilings;
import io.github.flashlla.bench.host.NvidiaGpu;
import io.github.flashlla.process.ParentWatch;
import io.github.flashlla.record.DeviceFacts;
import io.github.flashlla.record.DeviceFacts.Ceilings;
import io.github.flashlla.record.DeviceState;
import io.github.flashlla.record.Measurement;
import io.github.flashlla.record.RecordJson;
import io.github.flashlla.record.Status;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.locks.LockSupport;

/**
 * The child's side of a benchmark: measures tasks on one device and appends an event per line to a file. A file, because
 * drivers write to standard output what they like.
 */
public final class Worker {
    private static final double IDLE_SECONDS = 0.5;
    private static final long POLL_NANOS = 2_000_000;

    private final WorkerOrder order;
    private final OutputStream events;

    private Worker(WorkerOrder order, OutputStream events) {
        this.order = order;
        this.events = events;
    }

    /** @param args the order's file */
    public static void main(String[] args) throws IOException {
        WorkerOrder order = RecordJson.COMPACT.readValue(Path.of(args[0]).toFile(), WorkerOrder.class);
        ParentWatch.endWithParent();
        try (OutputStream events = Files.newOutputStream(Path.of(order.events()), StandardOpenOption.APPEND)) {
            new Worker(order, events).run();
        }
        Runtime.getRuntime().halt(0); // a driver's exit handlers may hang, and everything is written
    }

    private void run() {
        Device device;
        DeviceFacts facts;
        EnergyMeter meter;
        Double idle;
        try {
            send(WorkerEvent.phase("opening"));
            device = Devices.open(order.device());
            meter = EnergyMeter.of(device.info()).orElse(null);
            idle = meter == null ? null : idleWatts(meter);
            DeviceState state = device.info().type() == DeviceInfo.Type.GPU ? NvidiaGpu.of(device.info()).map(NvidiaGpu::state).orElse(null) : null;
            facts = DeviceFacts.of(device.info(), order.ceilings() == null ? ceilings(device) : order.ceilings()).withState(state);
        } catch (RuntimeException | LinkageError e) {
            send(WorkerEvent.unusable(e.getMessage() == null ? e.toString() : e.getMessage()));
            return;
        }
        send(WorkerEvent.open(facts));
        WorkloadRunner runner = new WorkloadRunner(device, facts, order.protocol(), phase -> send(WorkerEvent.phase(phase))).counting(meter, idle);
        for (int i = 0; i < order.tasks().size(); i++) {
            send(WorkerEvent.start(i));
            Measurement measurement = runner.run(order.tasks().get(i));
            send(WorkerEvent.done(measurement));
            if (measurement.status() == Status.FAILED) {
                return; // a driver that failed once may fail on: what is left starts in a fresh process
            }
        }
    }

    /** What the device takes while nothing runs; null if the counter did not move. */
    private Double idleWatts(EnergyMeter meter) {
        send(WorkerEvent.phase("measuring power at rest"));
        EnergyWindow window = EnergyWindow.of(meter, IDLE_SECONDS, () -> LockSupport.parkNanos(POLL_NANOS));
        return window == null ? null : window.joules() / window.seconds();
    }

    private Ceilings ceilings(Device device) {
        send(WorkerEvent.phase("measuring ceilings"));
        return device.measureCeilings().map(measured -> new Ceilings(measured.fmaFlopsPerSecond() / 1e12, measured.copyBytesPerSecond() / 1e9,
                        measured.matrixFlopsPerSecond() > 0 ? measured.matrixFlopsPerSecond() / 1e12 : null))
                .orElseGet(() -> device.info().has(DeviceInfo.Trait.ON_HEAP) ? HostCeilings.measure(order.protocol().warmUpSeconds()) : null);
    }

    private void send(WorkerEvent event) {
        try {
            byte[] line = (RecordJson.COMPACT.writeValueAsString(event) + "\n").getBytes(StandardCharsets.UTF_8);
            events.write(line); // unbuffered: a line is written whole or not at all
            events.flush();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot report to the parent process", e);
        }
    }
}
