package io.github.flashlla.training;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDScope;
import ai.djl.ndarray.types.DataType;
import io.github.flashlla.Device;
import io.github.flashlla.Devices;

/** A whole model's gradients through LLA against central differences of its loss, all in float64, on the reference device. */
final class GradientCheck {
    private static final double STEP = 1e-5;

    private GradientCheck() {}

    /** @return ||gradients - differences|| / ||differences|| over every parameter */
    static double relativeError(Task task, long seed) {
        Model.Sizes sizes = new Model.Sizes(2, 8, 2, task.longest(), task.inputs(), task.outputs());
        Batch data = task.draw(Trainer.generator(seed, 0), 2);
        double distance = 0;
        double norm = 0;
        try (Device reference = Devices.open("reference"); Model model = new Model(sizes, DataType.FLOAT64, seed, 1);
                LlaAttention lla = new LlaAttention(reference); NDScope scope = new NDScope()) {
            scope.suppressNotUsedWarning();
            lla.backward(Trainer.loss(model, lla, task, data));
            for (NDArray parameter : model.parameters().values()) {
                double[] gradients = parameter.getGradient().toDoubleArray();
                double[] values = parameter.toDoubleArray();
                for (int i = 0; i < values.length; i++) {
                    double[] sides = new double[2];
                    for (int side = 0; side < 2; side++) {
                        double[] moved = values.clone();
                        moved[i] += side == 0 ? -STEP : STEP;
                        int at = side;
                        Gradients.without(() -> {
                            set(parameter, moved);
                            sides[at] = loss(model, lla, task, data);
                        });
                    }
                    Gradients.without(() -> set(parameter, values));
                    double difference = (sides[1] - sides[0]) / (2 * STEP);
                    distance += (gradients[i] - difference) * (gradients[i] - difference);
                    norm += difference * difference;
                }
            }
        }
        return Math.sqrt(distance / norm);
    }

    private static double loss(Model model, Attention lla, Task task, Batch data) {
        try (NDScope scope = new NDScope()) {
            scope.suppressNotUsedWarning();
            return Trainer.loss(model, lla, task, data).getDouble();
        }
    }

    private static void set(NDArray parameter, double[] values) {
        try (NDArray given = Arrays.of(parameter.getManager(), DataType.FLOAT64, values, parameter.getShape())) {
            parameter.muli(0).addi(given);
        }
    }
}
