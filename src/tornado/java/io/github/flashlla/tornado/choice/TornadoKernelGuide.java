package io.github.flashlla.tornado.choice;

import com.google.auto.service.AutoService;
import io.github.flashlla.AttentionShape;
import io.github.flashlla.DeviceInfo;
import io.github.flashlla.LlaOptions;
import io.github.flashlla.spi.KernelGuide;
import io.github.flashlla.tornado.kernels.VariantDevice;
import io.github.flashlla.tornadovm.Backend;
import io.github.flashlla.tornadovm.DeviceProfile;
import io.github.flashlla.tornadovm.Pass;
import java.util.Arrays;
import java.util.List;

/** The choices of {@link KernelTable}. Needs no TornadoVM in its JVM: variants are data. */
@AutoService(KernelGuide.class)
public final class TornadoKernelGuide implements KernelGuide {

    @Override
    public boolean knows(DeviceInfo device) {
        return Backend.of(device.name()) != null;
    }

    @Override
    public List<Choice> choices(DeviceInfo device, AttentionShape shape, LlaOptions options) {
        VariantDevice traits = VariantDevice.of(device);
        return Arrays.stream(Pass.values()).flatMap(pass -> KernelTable.verdicts(pass, traits, shape, options).stream()
                .map(verdict -> new Choice(DeviceProfile.key(pass), verdict.variant().id(), verdict.refusal().orElse("")))).toList();
    }
}
