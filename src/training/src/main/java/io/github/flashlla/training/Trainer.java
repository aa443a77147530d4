package io.github.flashlla.training;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDScope;
import ai.djl.ndarray.types.DataType;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.io.OutputFile;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;

/**
 * Trains a model by AdamW, its step size warmed up and then lowered along a cosine. A step's data depend on seed and step alone,
 * so that a run taken up from its checkpoint goes on as if it had not been interrupted.
 */
final class Trainer {
    private static final double BETA1 = 0.9;
    private static final double BETA2 = 0.99;
    private static final double EPSILON = 1e-8;
    private static final double DECAY = 0.01;
    private static final double LONGEST_GRADIENT = 1;
    private static final double WARM_UP = 0.1; // of the steps

    private final Model model;
    private final Attention attention;
    private final Task task;
    private final long seed;
    private final int batch;
    private final int steps;
    private final double rate;
    // DJL's own Adam keeps its moments to itself, and a checkpoint needs them
    private final Map<String, NDArray> first = new LinkedHashMap<>();
    private final Map<String, NDArray> second = new LinkedHashMap<>();
    private final List<Double> losses = new ArrayList<>();
    private int step;

    Trainer(Model model, Attention attention, Task task, long seed, int batch, int steps, double rate) {
        this.model = model;
        this.attention = attention;
        this.task = task;
        this.seed = seed;
        this.batch = batch;
        this.steps = steps;
        this.rate = rate;
        model.parameters().forEach((name, parameter) -> {
            first.put(name, parameter.zerosLike());
            second.put(name, parameter.zerosLike());
        });
    }

    int step() {
        return step;
    }

    /** The loss before every step so far. */
    List<Double> losses() {
        return losses;
    }

    int steps() {
        return steps;
    }

    boolean done() {
        return step >= steps;
    }

    /** One step; returns the loss before it. Where that is no number, nothing is learned from it. */
    double train() {
        Batch data = task.draw(generator(seed, step), batch);
        try (NDScope scope = new NDScope()) {
            scope.suppressNotUsedWarning();
            NDArray loss = loss(model, attention, task, data);
            double value = loss.toType(DataType.FLOAT64, false).getDouble();
            if (!Double.isFinite(value)) {
                return value;
            }
            attention.backward(loss);
            Gradients.without(this::update);
            step++;
            losses.add(value);
            return value;
        }
    }

    /** Mean over the targets that count, of cross-entropy or of square errors. */
    static NDArray loss(Model model, Attention attention, Task task, Batch data) {
        NDArray output = model.forward(model.array(data.input(), data.size(), data.length(), task.inputs()), 0, attention);
        NDArray target = model.array(data.target(), data.size(), data.length(), task.outputs());
        NDArray weight = model.array(data.weight(), data.size(), data.length());
        NDArray each = task.classes() ? output.logSoftmax(-1).mul(target).sum(new int[] {-1}).neg() : output.sub(target).square().mean(new int[] {-1});
        return each.mul(weight).sum().div(weight.sum());
    }

    static RandomGenerator generator(long seed, long step) {
        return RandomGeneratorFactory.of("L64X128MixRandom").create(seed * 1_000_003 + step);
    }

    private void update() {
        double square = 0;
        for (NDArray parameter : model.parameters().values()) {
            square += parameter.getGradient().square().sum().toType(DataType.FLOAT64, false).getDouble();
        }
        double shrink = Math.min(1, LONGEST_GRADIENT / (Math.sqrt(square) + EPSILON));
        double size = rate * schedule();
        double bias1 = 1 - Math.pow(BETA1, step + 1);
        double bias2 = 1 - Math.pow(BETA2, step + 1);
        model.parameters().forEach((name, parameter) -> {
            NDArray gradient = parameter.getGradient().mul(shrink);
            NDArray m = first.get(name);
            NDArray s = second.get(name);
            m.muli(BETA1).addi(gradient.mul(1 - BETA1));
            s.muli(BETA2).addi(gradient.square().mul(1 - BETA2));
            if (parameter.getShape().dimension() == 2) { // matrices, not norms, gains and ridges
                parameter.muli(1 - size * DECAY);
            }
            parameter.subi(m.div(bias1).div(s.div(bias2).sqrt().add(EPSILON)).mul(size));
            Gradients.zero(parameter);
        });
    }

    private double schedule() {
        double warm = WARM_UP * steps;
        return step < warm ? (step + 1) / warm : 0.5 * (1 + Math.cos(Math.PI * (step - warm) / (steps - warm)));
    }

    /**
     * Writes all that the next step depends on.
     *
     * @param identity of the run: a checkpoint of another one is not taken up
     */
    void save(Path file, String identity) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (OutputFile output = OutputFile.create(file); DataOutputStream data = new DataOutputStream(bytes)) {
            data.writeUTF(identity);
            data.writeInt(step);
            for (double loss : losses) {
                data.writeDouble(loss);
            }
            for (NDArray array : state()) {
                for (float value : array.toFloatArray()) {
                    data.writeFloat(value);
                }
            }
            Files.write(output.temporary(), bytes.toByteArray());
            output.commit();
        } catch (IOException e) {
            throw new InvalidInputException("the checkpoint " + file + " cannot be written (" + e.getMessage()
                    + "); free space or name a folder elsewhere with --output");
        }
    }

    /** Takes up where {@link #save} left, if the file is there and of this run. */
    void load(Path file, String identity) {
        if (!Files.exists(file)) {
            return;
        }
        try (DataInputStream data = new DataInputStream(new ByteArrayInputStream(Files.readAllBytes(file)))) {
            if (!data.readUTF().equals(identity)) {
                return;
            }
            step = data.readInt();
            for (int i = 0; i < step; i++) {
                losses.add(data.readDouble());
            }
            for (NDArray array : state()) {
                float[] values = new float[Math.toIntExact(array.size())];
                for (int i = 0; i < values.length; i++) {
                    values[i] = data.readFloat();
                }
                Gradients.without(() -> array.muli(0).addi(model.array(values, array.getShape().getShape())));
            }
        } catch (IOException e) {
            throw new InvalidInputException("the checkpoint " + file + " cannot be read; delete it");
        }
    }

    private List<NDArray> state() {
        List<NDArray> state = new ArrayList<>(model.parameters().values());
        state.addAll(first.values());
        state.addAll(second.values());
        return state;
    }
}
