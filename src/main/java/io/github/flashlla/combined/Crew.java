package io.github.flashlla.combined;

import io.github.flashlla.DeviceException;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.process.DriverLog;
import io.github.flashlla.spi.DeviceState;
import io.github.flashlla.tornadovm.DeviceJvm;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BiConsumer;
import java.util.function.Function;
import java.util.stream.Collectors;

/** The processes of a combined device, which answer one exchange at a time. */
final class Crew implements AutoCloseable {
    private final String device;
    private final DeviceState state;
    private final List<PartProcess> parts = new ArrayList<>();
    private final ReentrantLock turn = new ReentrantLock(true);
    private final AtomicInteger numbers = new AtomicInteger();
    private int toldDead;

    Crew(String device, DeviceState state, List<DeviceInfo> infos) {
        this.device = device;
        this.state = state;
        SharedMemory.sweep();
        try {
            for (DeviceInfo info : infos) {
                String name = infos.stream().filter(info::equals).count() == 1 ? info.name() : info.name() + " (part " + (parts.size() + 1) + ")";
                parts.add(new PartProcess(info, name, DeviceJvm.of(info).with(Processors.flags(parts.size(), infos))));
            }
            parts.forEach(PartProcess::awaitOpen);
        } catch (IOException e) {
            close();
            throw new DeviceException(device + ": a process cannot be started: " + e.getMessage(), e);
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** A number that no plan, cache or memory has yet. */
    int number() {
        return numbers.incrementAndGet();
    }

    /** All, those that died too. */
    List<PartProcess> parts() {
        return parts;
    }

    /**
     * Those that can take orders.
     *
     * @throws DeviceException if there are none
     */
    List<PartProcess> living() {
        List<PartProcess> living = parts.stream().filter(part -> !part.dead()).toList();
        if (living.isEmpty()) {
            throw new DeviceException(device + ": " + parts.getLast().obituary() + ", and no other is left; open the device anew.");
        }
        return living;
    }

    /**
     * Called between exchanges of a pass, so that no part computes any more.
     *
     * @throws DeviceException if this thread is interrupted, which it stays
     */
    void requireUninterrupted() {
        if (Thread.currentThread().isInterrupted()) {
            throw new DeviceException(device + ": interrupted while computing", new InterruptedException());
        }
    }

    /** @throws DeviceException if one has died */
    void requireWhole() {
        parts.stream().filter(PartProcess::dead).findFirst().ifPresent(part -> {
            throw new DeviceException(device + ": " + part.obituary() + "; open the device anew.");
        });
    }

    /** One order to a part of several, and what becomes of its answer. */
    interface Step<R extends Serializable> {
        /** Called just before it is given; the parts compute on what they were given before. */
        Order<? extends R> order();

        void take(R answer);
    }

    /**
     * Gives each part its orders, one of each part in turn and without waiting for answers, and then takes the answers in the same turn.
     * Answers that a part owes when it dies are not taken. An interrupt changes nothing and stays set.
     *
     * @throws IllegalStateException if another thread closed the device meanwhile
     */
    <R extends Serializable> void converse(Map<PartProcess, List<Step<R>>> steps, Class<R> type) {
        turn.lock();
        try {
            Map<PartProcess, Integer> given = new LinkedHashMap<>();
            List<RuntimeException> failures = new ArrayList<>();
            guarded(failures, () -> inTurn(steps, (part, step) -> {
                part.send(step.order());
                given.merge(part, 1, Integer::sum);
            }));
            Map<PartProcess, List<Step<R>>> asked = new LinkedHashMap<>();
            given.forEach((part, count) -> asked.put(part, steps.get(part).subList(0, count)));
            inTurn(asked, (part, step) -> guarded(failures, () -> part.receive(type).ifPresent(step::take))); // every answer is to be read
            state.requireOpen(); // before any word of the processes, which close() ends
            tellDeaths();
            if (!failures.isEmpty()) {
                throw failures.getFirst();
            }
        } finally {
            turn.unlock();
        }
    }

    private static void guarded(List<RuntimeException> failures, Runnable work) {
        try {
            work.run();
        } catch (RuntimeException e) {
            failures.add(e);
        }
    }

    private static <S> void inTurn(Map<PartProcess, List<S>> steps, BiConsumer<PartProcess, S> work) {
        int most = steps.values().stream().mapToInt(List::size).max().orElse(0);
        for (int n = 0; n < most; n++) {
            for (Map.Entry<PartProcess, List<S>> one : steps.entrySet()) {
                if (n < one.getValue().size()) {
                    work.accept(one.getKey(), one.getValue().get(n));
                }
            }
        }
    }

    /** Gives an order to each of several parts at once and waits for all; those that die on it are missing from the answer. */
    <R extends Serializable> Map<PartProcess, R> exchange(Map<PartProcess, ? extends Order<? extends R>> orders, Class<R> type) {
        Map<PartProcess, R> answers = new LinkedHashMap<>();
        Map<PartProcess, List<Step<R>>> steps = new LinkedHashMap<>();
        orders.forEach((part, order) -> steps.put(part, List.of(new Step<>() {
            @Override
            public Order<? extends R> order() {
                return order;
            }

            @Override
            public void take(R answer) {
                answers.put(part, answer);
            }
        })));
        converse(steps, type);
        return answers;
    }

    /**
     * Gives orders to those who hold keys and values.
     *
     * @throws DeviceException if one dies: what it held goes with it
     */
    <R extends Serializable> Map<PartProcess, R> exchangeWithHolders(Map<PartProcess, ? extends Order<? extends R>> orders, Class<R> type) {
        Map<PartProcess, R> answers = exchange(orders, type);
        for (PartProcess part : orders.keySet()) {
            if (!answers.containsKey(part)) {
                throw new DeviceException(part.obituary() + ", and the keys and values that it held are lost; make the cache anew, and append "
                        + "the tokens again.");
            }
        }
        return answers;
    }

    /** Gives the same order to all that live. */
    <R extends Serializable> Map<PartProcess, R> all(Function<PartProcess, Order<R>> order, Class<R> type) {
        Map<PartProcess, Order<R>> orders = new LinkedHashMap<>();
        living().forEach(part -> orders.put(part, order.apply(part)));
        return exchange(orders, type);
    }

    /** The same, where nobody is left to be told of a failure. */
    void allQuietly(Order<Integer> order) {
        if (!state.isOpen() || parts.stream().allMatch(PartProcess::dead)) {
            return;
        }
        try {
            all(part -> order, Integer.class);
        } catch (IllegalStateException e) {
            if (state.isOpen()) {
                throw e;
            }
        }
    }

    /** Maps a file in every process, after which its name is not needed any more. */
    int share(SharedMemory memory, boolean writable) {
        int number = number();
        all(part -> new Orders.OpenMemory(number, memory.file().toString(), memory.segment().byteSize(), writable), Integer.class);
        memory.forget();
        return number;
    }

    /** Once for each. Bench reads the line: times are not those of the whole device any more. */
    private void tellDeaths() {
        List<PartProcess> dead = parts.stream().filter(PartProcess::dead).toList();
        if (dead.size() > toldDead && dead.size() < parts.size()) {
            System.err.println(DriverLog.LOSS + device + ": " + dead.stream().map(PartProcess::obituary).collect(Collectors.joining("; "))
                    + "; the rest does its share.");
        }
        toldDead = dead.size();
    }

    @Override
    public void close() {
        parts.forEach(PartProcess::close);
    }
}
